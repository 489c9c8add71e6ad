"""Train a few steps, then die by the signal whose number is the argument."""

import os
import sys
import time


def load_batch(index):
    time.sleep(0.005)
    return index


def update(value):
    return value + 1


for index in range(60):
    update(load_batch(index))
print("dies", flush=True)
os.kill(os.getpid(), int(sys.argv[1]))
time.sleep(60)
