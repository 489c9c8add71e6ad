"""A script with its own hooks for uncaught exceptions and exit."""

import atexit
import sys


def forward():
    raise LookupError("uncaught")


def hook(kind, error, trace):
    depth = 0
    while trace is not None:
        depth, trace = depth + 1, trace.tb_next
    print("hook", kind.__name__, error, "frames", depth, flush=True)


atexit.register(print, "registered first")
atexit.register(print, "registered second", flush=True)
sys.excepthook = hook
forward()
