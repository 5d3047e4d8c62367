"""What becomes of the lists: today how audiences overlap; platforms, consent and measurement have their place here.

May import: errors, workspace, data, embeddings, expansion.
"""
