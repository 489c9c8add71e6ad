"""The script's own, not the standard library's."""

ORIGIN = "mine"
