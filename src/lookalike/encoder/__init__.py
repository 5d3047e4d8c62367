"""The user encoder: the two-tower model, its training and evaluation, and the runs that store it.

May import: errors, workspace, data, embeddings. The only package that imports torch at module level.
"""
