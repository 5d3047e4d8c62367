"""Reading event logs and attribute tables into the workspace's database.

May import: errors, workspace, and the database and schema modules of data.
"""
