"""Run with -m package.train, or imported."""

import pickle
import sys

from package.inner.data import load_batch


class Row:
    """Pickled when this module is __main__."""


def forward(batch):
    return sum(batch)


if __name__ == "__main__":
    print("train", __package__, __spec__.name, sys.argv, sys.path[0])
    print(sorted(name for name in dir() if name.startswith("__")))
    print(type(pickle.loads(pickle.dumps(Row()))).__name__, forward(load_batch()))
    print(sys.modules["__main__"].forward is forward, "package.train" in sys.modules)
    raise ValueError(forward(load_batch()))
