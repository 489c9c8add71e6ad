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
print("ready", flush=True)
if sys.argv[1] == "handled":
    try:
        train(3000)
    except KeyboardInterrupt:
        print("interrupted, going on", flush=True)
        train(5)
        sys.exit(4)
else:
    train(3000)
