"""Train a few steps, say so, then wait for a signal as the argument names."""

import sys
import time


def load_batch(index):
    time.sleep(0.01)
    return index


def update(value):
    return value + 1


def train(steps):
    for index in range(steps):
        update(load_batch(index))


train(20)
try:
    print("ready", flush=True)
    train(3000)
except KeyboardInterrupt:
    if sys.argv[1] == "unhandled":
        raise
    print("interrupted, going on", flush=True)
    train(5 if sys.argv[1] == "handled" else 3000)
    sys.exit(4)
