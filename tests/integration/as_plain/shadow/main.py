"""Modules beside the script are called as some of the standard library's."""

import contextlib
import functools
import json
import logging
import queue
import random
import sys
import tempfile


def load_batch(i):
    return i


def forward(x):
    return x


for name in (
    "random",
    "json",
    "logging",
    "queue",
    "tempfile",
    "contextlib",
    "functools",
):
    print(f"{name} beside the script:", getattr(sys.modules[name], "ORIGIN", "library"))
total = sum(forward(load_batch(i)) for i in range(40))
print("stages beside them:", total)
