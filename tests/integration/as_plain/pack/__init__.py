"""A package of the script's."""
