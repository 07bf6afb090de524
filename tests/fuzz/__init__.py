"""Hostile input: mutated samples through every door that reads what others wrote; see `python -m tests.fuzz --help`."""
