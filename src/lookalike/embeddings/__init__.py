"""What is computed and stored per user: the blocks that need no training, and versions of the stored vectors.

May import: errors, workspace, data.
"""
