from __future__ import annotations

from . import __name__ as name
from .broken import load_broken


def load_data(x: Unknown) -> Nowhere:
    import warnings

    warnings.warn("here", UserWarning, stacklevel=2)
    return name, x


def failing():
    return load_broken()


if __name__ == "__main__":
    print("run by -m")
