"""Run with -m package."""

import sys

from . import train
from .inner import data

spec = __spec__
print("main", __name__, __package__, spec.name, spec.parent, spec.origin == __file__)
print("argv", sys.argv, sys.path[0], type(__loader__).__name__)
print(train.forward(data.load_batch()), __file__)
