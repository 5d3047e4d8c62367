"""The Python API: one file for each verb, and the workspace handle that offers them. Reads, calls, writes, no arithmetic.

May import: everything below.
"""
