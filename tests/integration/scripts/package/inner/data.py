"""Data of the package."""

from ..inner import __name__ as parent


def load_batch():
    return [1, 2, len(parent)]
