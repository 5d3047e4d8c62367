"""The lift report from an evaluation: one self-contained HTML page, and the same as tables for a terminal."""

from lookalike.report.page import page
from lookalike.report.terminal import tables

__all__ = ["page", "tables"]
