"""A generator that fills one array again for every batch."""

import sys
import time

import numpy as np

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 15


def batches(rows):
    buffer = np.empty((8, 8))
    for index in range(STEPS):
        time.sleep(0.002)
        buffer[:] = rows[index * 8 : index * 8 + 8]
        yield buffer


def forward(batch, weights):
    time.sleep(0.01)
    return batch @ weights


def loss(output):
    return float((output**2).mean())


def update(weights, slope):
    weights -= 0.05 * slope


rng = np.random.default_rng(1)
rows = rng.normal(size=(STEPS * 8, 8))
weights = rng.normal(size=(8, 4)) / 3
for batch in batches(rows):
    output = forward(batch, weights)
    value = loss(output)
    update(weights, batch.T @ output / len(output))
print(f"loss {value:.6f}")
