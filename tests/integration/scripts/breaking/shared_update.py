"""Updates of distinct parameters that also move one array they share.

With "visible" each parameter holds the array, with "hidden" it is a global one.
"""

import sys
import time

import numpy as np

HOW = sys.argv[1] if len(sys.argv) > 1 else "visible"
STEPS = int(sys.argv[2]) if len(sys.argv) > 2 else 12
SPEED = np.zeros((8, 4))


class Parameter:
    def __init__(self, rng):
        self.value = rng.normal(size=(8, 4)) / 3
        if HOW == "visible":
            self.speed = SPEED

    def update(self, slope):
        speed = 0.9 * SPEED - 0.05 * slope
        time.sleep(0.01)
        SPEED[:] = speed
        self.value += speed


def load_batch(rows, index):
    return rows[index * 8 : index * 8 + 8]


def forward(batch, parameters):
    return sum(batch @ parameter.value for parameter in parameters)


def loss(output):
    return float((output**2).mean())


def backward(batch, output, parameters):
    slope = batch.T @ output / len(output)
    return [slope * (place + 1) / 4 for place, _ in enumerate(parameters)]


rng = np.random.default_rng(1)
rows = rng.normal(size=(STEPS * 8, 8))
parameters = [Parameter(rng) for _ in range(4)]
for index in range(STEPS):
    batch = load_batch(rows, index)
    output = forward(batch, parameters)
    value = loss(output)
    slopes = backward(batch, output, parameters)
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter.update(slope)
print(f"loss {value:.6f}")
