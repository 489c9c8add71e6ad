"""A trainer starved by a queue of depth one that a slow producer fills.

Planted: `load_batch` is a `queue.get`; the thread "producer" is slow because of
`--cause`: it sleeps, computes in Python, or waits for a socket. To be found:
load / lock, with the producer's own cause named.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import numpy as np
import rows_server  # type: ignore[import-not-found]
from truth import Watch, arguments, tell  # type: ignore[import-not-found]

SLOW_S = 0.02


def load_batch(batches: queue.Queue[np.ndarray]) -> np.ndarray:
    return batches.get()


def forward(batch: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(batch).sum(axis=0))


def sleep_slowly() -> None:
    """Slow by sleeping."""
    time.sleep(SLOW_S)


def compute_slowly() -> None:
    """Slow by Python bytecode, some 50 ms of it."""
    total = 0
    for number in range(1_000_000):
        total += number & 7


def produce(
    batches: queue.Queue[np.ndarray], slow: Callable[[], object], steps: int, seed: int
) -> None:
    """Fill the queue, one slow batch after the other."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        slow()
        batches.put(rng.normal(size=(32, 100)))


def train(cause: Callable[[], object], steps: int, seed: int, watch: Watch) -> float:
    """All steps beside their producer; the sum of what `forward` made."""
    batches: queue.Queue[np.ndarray] = queue.Queue(maxsize=1)
    producer = threading.Thread(
        target=produce, args=(batches, cause, steps, seed), name="producer"
    )
    producer.start()
    total = 0.0
    for _ in range(steps):
        with watch("step"):
            with watch("load"):
                batch = load_batch(batches)
            with watch("forward"):
                total += float(forward(batch).sum())
    producer.join()
    return total


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=60)
    causes = ("sleep", "python", "network")
    parser.add_argument("--cause", choices=causes, default="sleep")
    options = parser.parse_args()
    watch, steps, seed = Watch(), options.steps, options.seed
    if options.cause == "network":
        server, client = rows_server.start(SLOW_S)
        total = train(lambda: rows_server.ask(client), steps, seed, watch)
        rows_server.stop(server, client)
    else:
        slow = sleep_slowly if options.cause == "sleep" else compute_slowly
        total = train(slow, steps, seed, watch)
    print(f"sum {total:.6f}")
    tell(watch, steps=steps, cause=options.cause, thread="producer")


if __name__ == "__main__":
    main()
