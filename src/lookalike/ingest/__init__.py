"""Reads a client's files into the store: found, understood, checked, and loaded one file at a time or not at all."""

from lookalike.ingest.context import settle
from lookalike.ingest.options import IngestOptions, parse_context, parse_mapping
from lookalike.ingest.report import Check, Explanation, FileReport, IngestReport, Preview, Totals
from lookalike.ingest.run import explain, find, ingest, sessions_as_users

__all__ = [
    "Check",
    "Explanation",
    "FileReport",
    "IngestOptions",
    "IngestReport",
    "Preview",
    "Totals",
    "explain",
    "find",
    "ingest",
    "parse_context",
    "parse_mapping",
    "sessions_as_users",
    "settle",
]
