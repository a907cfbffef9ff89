"""A version's answers."""
