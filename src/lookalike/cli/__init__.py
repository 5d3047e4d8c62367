"""The command line: parses flags, calls the Python API, shows the result.

May import: errors, api, reporting, and the progress protocol of workspace.
"""
