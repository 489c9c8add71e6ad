"""The article's optimiser loop: 5 parameters, each update waits 0.02 s.

Planted: every `Parameter.update` sleeps `0.02 * delay-scale` seconds, five a step. To
be found: update / sleep, nearly the whole step.
"""

from __future__ import annotations

import time

import numpy as np
from truth import Watch, arguments, tell  # type: ignore[import-not-found]

BATCH = 32


class Parameter:
    """One parameter: a subtraction, after a wait."""

    def __init__(self, value: np.ndarray, delay_s: float) -> None:
        self.value = value
        self.delay_s = delay_s

    def update(self, gradient: np.ndarray) -> None:
        """Move the value against its gradient."""
        time.sleep(self.delay_s)
        self.value -= 0.01 * gradient


def load_batch(data: np.ndarray, index: int) -> np.ndarray:
    start = index * BATCH % len(data)
    return data[start : start + BATCH]


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=30)
    parser.add_argument("--delay-scale", type=float, default=1.0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    data = rng.normal(size=(1000, 100))
    delay_s, watch = 0.02 * options.delay_scale, Watch()
    parameters = [Parameter(rng.normal(size=100), delay_s) for _ in range(5)]
    for index in range(options.steps):
        with watch("step"):
            with watch("load"):
                gradient = load_batch(data, index).mean(axis=0)
            for parameter in parameters:
                with watch("update"):
                    parameter.update(gradient)
    print(f"sum {sum(float(each.value.sum()) for each in parameters):.6f}")
    tell(watch, steps=options.steps, delay_s=delay_s, calls_per_step=len(parameters))


if __name__ == "__main__":
    main()
