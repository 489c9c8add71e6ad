"""Adam over 300 small arrays, one after the other in Python.

Planted: `update` runs a Python loop of a dozen tiny NumPy operations over
`--parameters` arrays of 64 numbers, which hold the GIL throughout. To be found:
update / python.
"""

from __future__ import annotations

import numpy as np
from truth import Watch, arguments, tell  # type: ignore[import-not-found]

WIDTH = 64


class Adam:
    """Adam by the book, parameter by parameter (Kingma and Ba, 2015)."""

    def __init__(self, parameters: list[np.ndarray]) -> None:
        self.parameters = parameters
        self.first = [np.zeros_like(each) for each in parameters]
        self.second = [np.zeros_like(each) for each in parameters]
        self.turn = 0

    def update(self, gradients: list[np.ndarray]) -> None:
        """Move every parameter against its gradient."""
        self.turn += 1
        unbias1, unbias2 = 1 - 0.9**self.turn, 1 - 0.999**self.turn
        columns = (self.parameters, gradients, self.first, self.second)
        for value, gradient, first, second in zip(*columns, strict=True):
            first *= 0.9
            first += 0.1 * gradient
            second *= 0.999
            second += 0.001 * gradient * gradient
            value -= 0.001 * (first / unbias1) / (np.sqrt(second / unbias2) + 1e-8)


def load_batch(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(8, WIDTH))


def forward(batch: np.ndarray) -> np.ndarray:
    return np.asarray(batch.mean(axis=0))


def backward(output: np.ndarray, parameters: list[np.ndarray]) -> list[np.ndarray]:
    return [value - output for value in parameters]


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=200)
    parser.add_argument("--parameters", type=int, default=300)
    options = parser.parse_args()
    rng, watch = np.random.default_rng(options.seed), Watch()
    parameters = [rng.normal(size=WIDTH) for _ in range(options.parameters)]
    adam = Adam(parameters)
    for _ in range(options.steps):
        with watch("step"):
            with watch("load"):
                batch = load_batch(rng)
            with watch("forward"):
                output = forward(batch)
            with watch("backward"):
                gradients = backward(output, parameters)
            with watch("update"):
                adam.update(gradients)
    print(f"sum {sum(float(value.sum()) for value in parameters):.6f}")
    tell(watch, steps=options.steps, parameters=options.parameters)


if __name__ == "__main__":
    main()
