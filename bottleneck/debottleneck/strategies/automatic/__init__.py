"""Strategies applied to a script that nobody edited, and undone at its exit."""
