"""Ranking of all users by one or more scores, exactly, from the stored vectors.

May import: errors, workspace, data, embeddings, expansion.scorers.
"""
