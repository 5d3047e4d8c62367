"""From a seed to a ranked list with its evaluation: seed, hold-out, scorers, verdict, ranking, explanations.

May import: errors, workspace, data, embeddings, encoder (torch only inside functions).
"""
