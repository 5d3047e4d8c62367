"""The client's data: the event log in DuckDB, the arrays made from it, and lists of user ids.

May import: errors, workspace.
"""
