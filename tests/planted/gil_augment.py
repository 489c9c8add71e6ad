"""Pure-Python augment threads beside a pure-Python trainer: both want the GIL.

Planted: `--threads` threads run `augment` without pause while the trainer runs
`forward`; all of it is Python bytecode, so whatever the trainer waits in `forward`
beyond CPU time and run queue is the GIL. To be found: forward / gil, the holder
`augment`. Truth: `stages.forward.waited_s` over `stages.step.wall_s`.
"""

from __future__ import annotations

import random
import threading

from truth import Watch, arguments, tell  # type: ignore[import-not-found]

WIDTH = 200


def load_batch(rng: random.Random) -> list[float]:
    return [rng.random() for _ in range(WIDTH)]


def augment(row: list[float]) -> list[float]:
    for turn in range(100):
        row = [value * 0.5 + 0.25 * (turn % 2) for value in row]
    return row


def forward(batch: list[float], rounds: int) -> float:
    total = 0.0
    for _ in range(rounds):
        for value in batch:
            total += value * 0.5 - 0.25
    return total


def keep_augmenting(done: threading.Event, row: list[float]) -> None:
    """What each augment thread runs until the trainer is done."""
    while not done.is_set():
        row = augment(row)


def main() -> None:
    """Run the loop and tell its truth."""
    parser = arguments(__doc__, steps=40)
    parser.add_argument("--threads", type=int, default=2, help="augment threads")
    parser.add_argument("--rounds", type=int, default=2000, help="work of a forward")
    options = parser.parse_args()
    rng, done, watch = random.Random(options.seed), threading.Event(), Watch()
    threads = [
        threading.Thread(
            target=keep_augmenting, args=(done, load_batch(rng)), name=f"augment-{n}"
        )
        for n in range(options.threads)
    ]
    for thread in threads:
        thread.start()
    total = 0.0
    for _ in range(options.steps):
        with watch("step"):
            with watch("load"):
                batch = load_batch(rng)
            with watch("forward"):
                total += forward(batch, options.rounds)
    done.set()
    for thread in threads:
        thread.join()
    print(f"sum {total:.6f}")
    tell(watch, steps=options.steps, threads=[thread.name for thread in threads])


if __name__ == "__main__":
    main()
