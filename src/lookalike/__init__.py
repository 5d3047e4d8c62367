"""Look-alike audiences from your own event log.

The program is the public surface: see `lookalike --help`. `lookalike.pipeline` holds the same verbs as functions.
"""

__version__ = "0.1.0"
