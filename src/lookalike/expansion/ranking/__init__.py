"""The exact first n of all users by a scorer, in one pass over the stored vectors."""
