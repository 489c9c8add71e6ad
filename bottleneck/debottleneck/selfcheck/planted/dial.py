"""One loop whose cause, strength and place are dialled: what `selfcheck` runs.

Planted: `load_batch` passes `--share` of each step of some 20 ms for `--cause`, or for
several in turn; the rest is work of another kind. With `--place loader` a
thread "loader-0" does both, and the trainer waits for it. `--cause none` is a healthy
loop of fixed work. Standard library only, so that any interpreter runs it.

Truth, as JSON: `parts` has for each round of the thread concerned and each cause the
exact [wall, CPU, run-queue delay, CPU in the kernel] nanoseconds, `start_ns` and
`end_ns` the round's bounds.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from contextlib import ExitStack
from pathlib import Path

from dialled import (  # type: ignore[import-not-found]
    CAUSES,
    STEP_S,
    TAKES,
    WAITS,
    Unavailable,
    Work,
    counters_ns,
    hashed,
    native,
    python,
    sleep,
)


class Rounds:
    """What one thread did, round after round, in exact counters."""

    def __init__(self, works: list[Work]) -> None:
        self._works = works
        self.start_ns: list[int] = []
        self.parts: list[list[list[int]]] = []

    def __call__(self) -> None:
        """One round: every planted cause in turn."""
        self.start_ns.append(time.monotonic_ns())
        parts, before = [], counters_ns()
        for work in self._works:
            work()
            after = counters_ns()
            parts.append([b - a for a, b in zip(before, after, strict=True)])
            before = after
        self.parts.append(parts)

    def truth(self) -> dict[str, object]:
        """Of all rounds that another one followed."""
        starts, ends = self.start_ns[:-1], self.start_ns[1:]
        return {"start_ns": starts, "end_ns": ends, "parts": self.parts[: len(ends)]}


def load_batch(rounds: Rounds) -> None:
    rounds()


def next_batch(batches: queue.Queue[bool]) -> bool:
    return batches.get()


def forward(work: Work) -> None:
    work()


def backward(work: Work) -> None:
    work()


def update(work: Work) -> None:
    work()


def train(rounds: Rounds, filler: Work, until: float) -> None:
    """The trainer itself does what is planted."""
    while time.monotonic() < until:
        load_batch(rounds)
        forward(filler)


def train_fed(rounds: Rounds, filler: Work, until: float) -> None:
    """A thread does what is planted, the trainer waits for its batches."""
    batches: queue.Queue[bool] = queue.Queue(maxsize=2)

    def feed() -> None:
        while time.monotonic() < until:
            load_batch(rounds)
            filler()
            batches.put(True)
        batches.put(False)

    thread = threading.Thread(target=feed, name="loader-0")
    thread.start()
    own = native(STEP_S / 20, ExitStack())
    more = True
    while more:
        more = next_batch(batches)
        forward(own)
    thread.join()


def train_healthy(rounds: Rounds, filler: Work, until: float) -> None:
    """Three stages of like size and a quick load: nothing is wrong."""
    while time.monotonic() < until:
        load_batch(rounds)
        forward(filler)
        backward(filler)
        update(filler)


def fixed(units: int) -> Work:
    """So many buffers hashed, whatever it takes."""

    def work() -> None:
        for _ in range(units):
            hashed()

    return work


def filler_for(cause: str, in_loader: bool, seconds: float) -> Work:
    """The rest of the step: work that no sample can take for what is planted."""
    if in_loader and cause not in WAITS:
        return sleep(seconds, ExitStack())
    kind = python if cause == "native" else native
    return kind(seconds, ExitStack())


def run(options: Namespace, stack: ExitStack) -> dict[str, object]:
    """The whole loop; its truth."""
    names = [name for name in options.cause if name != "none"]
    seconds = STEP_S * options.share / max(len(names), 1)
    rounds = Rounds([CAUSES[name](seconds, stack) for name in names])
    until = time.monotonic() + options.seconds
    if not names:
        train_healthy(rounds, fixed(options.units), until)
    else:
        in_loader = options.place == "loader"
        rest = STEP_S * max(1 - options.share * TAKES.get(names[0], 1.0), 0.05)
        loop = train_fed if in_loader else train
        loop(rounds, filler_for(names[0], in_loader, rest), until)
    return {"causes": names, **rounds.truth()}


def main() -> None:
    """Run the loop and tell its truth, or why it cannot be had."""
    parser = ArgumentParser(
        description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=1.5, help="how long it trains")
    causes = (*CAUSES, "none")
    parser.add_argument("--cause", nargs="+", choices=causes, default=["sleep"])
    parser.add_argument("--share", type=float, default=0.4, help="of the step")
    parser.add_argument("--place", choices=("trainer", "loader"), default="trainer")
    parser.add_argument("--units", type=int, default=10, help="fixed work a stage")
    parser.add_argument("--truth", type=Path, required=True, help="its file")
    options = parser.parse_args()
    with ExitStack() as stack:
        try:
            truth = run(options, stack)
        except Unavailable as error:
            truth = {"unavailable": str(error)}
        except KeyboardInterrupt:
            sys.exit(130)
    options.truth.write_text(json.dumps(truth), encoding="utf-8")


if __name__ == "__main__":
    main()
