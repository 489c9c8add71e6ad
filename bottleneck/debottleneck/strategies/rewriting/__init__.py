"""Strategies as transformations of the user's loop, applied while the script runs."""
