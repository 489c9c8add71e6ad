"""A load and a forward pass that draw from the same global generator in turn."""

import sys
import time

import numpy as np

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 15


def load_batch(rows, index):
    time.sleep(0.005)
    first = 8 * index
    return rows[first : first + 8] + 0.1 * np.random.normal(size=(8, 8))


def forward(batch, weights):
    time.sleep(0.005)
    return (batch * (np.random.random(batch.shape) > 0.2)) @ weights


def loss(output):
    return float((output**2).mean())


def update(weights, slope):
    weights -= 0.05 * slope


np.random.seed(1)
rows = np.random.normal(size=(STEPS * 8, 8))
weights = np.random.normal(size=(8, 4)) / 3
for index in range(STEPS):
    batch = load_batch(rows, index)
    output = forward(batch, weights)
    value = loss(output)
    update(weights, batch.T @ output / len(output))
print(f"loss {value:.6f}")
