"""Layers that look independent, but read and write one running mean as they go."""

import sys
import time

import numpy as np

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 12
RUNNING = np.zeros(8)


class Layer:
    def __init__(self, rng):
        self.weights = rng.normal(size=(8, 4)) / 3

    def forward(self, batch):
        mean = RUNNING.copy()
        time.sleep(0.01)
        RUNNING[:] = 0.9 * mean + 0.1 * batch.mean(axis=0)
        self.batch = batch - mean
        return self.batch @ self.weights

    def backward(self, error):
        self.slope = self.batch.T @ error

    def update(self):
        self.weights -= 0.05 * self.slope


def load_batch(rows, index):
    return rows[index * 8 : index * 8 + 8]


def loss(outputs):
    return float((np.sum(outputs, axis=0) ** 2).mean())


rng = np.random.default_rng(1)
rows = rng.normal(size=(STEPS * 8, 8))
layers = [Layer(rng) for _ in range(4)]
for index in range(STEPS):
    batch = load_batch(rows, index)
    outputs = [layer.forward(batch) for layer in layers]
    value = loss(outputs)
    for layer, output in zip(layers, outputs, strict=True):
        layer.backward(output)
        layer.update()
print(f"loss {value:.6f}")
