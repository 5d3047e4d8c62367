"""Causal bodies of the user tower: modules that map the events of a sequence to hidden states.

May import: torch, and of lookalike only this package.
"""
