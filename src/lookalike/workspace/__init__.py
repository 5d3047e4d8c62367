"""The folder a client's data live in, and what every step needs: paths, files, settings, progress, executors.

May import: errors.
"""
