"""One loop whose cause, strength and place are dialled: what `selfcheck` runs.

Planted: `load_batch` passes `--share` of each step of some 20 ms for `--cause`, or for
several in turn; the rest is work of another kind. With `--place loader` a
thread "loader-0" does both, and the trainer waits for it. `--cause none` is a healthy
loop of fixed work. Standard library only, so that any interpreter runs it.

Truth: besides `stages`, `parts` has for each round of the thread concerned and each
cause the exact [wall, CPU, run-queue delay] nanoseconds, `start_ns` and `end_ns` the
round's bounds.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import queue
import statistics
import sys
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from contextlib import ExitStack
from pathlib import Path

from dialled import (  # type: ignore[import-not-found]
    BUFFER,
    CAUSES,
    STEP_S,
    TAKES,
    WAITS,
    Unavailable,
    Work,
    native,
    python,
    sleep,
)
from truth import Watch, counters_ns  # type: ignore[import-not-found]


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
        starts = self.start_ns
        count = max(len(starts) - 1, 0)
        steps = [b - a for a, b in itertools.pairwise(starts)]
        return {
            "start_ns": starts[:count],
            "end_ns": starts[1:],
            "parts": self.parts[:count],
            "median_step_ms": statistics.median(steps) / 1e6 if steps else None,
        }


class Pace:
    """When the loop ends: after so many steps, or so many seconds."""

    def __init__(self, options: Namespace) -> None:
        self._left = options.steps
        self._end = time.monotonic() + options.seconds
        self._by_steps = options.steps > 0

    def goes_on(self) -> bool:
        """Whether there is another step."""
        self._left -= 1
        if self._by_steps:
            return bool(self._left >= 0)
        return bool(time.monotonic() < self._end)


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


def train(rounds: Rounds, filler: Work, pace: Pace, watch: Watch) -> None:
    """The trainer itself does what is planted."""
    while pace.goes_on():
        with watch("load"):
            load_batch(rounds)
        with watch("forward"):
            forward(filler)


def train_fed(rounds: Rounds, filler: Work, pace: Pace, watch: Watch) -> None:
    """A thread does what is planted, the trainer waits for its batches."""
    batches: queue.Queue[bool] = queue.Queue(maxsize=2)

    def feed() -> None:
        while pace.goes_on():
            load_batch(rounds)
            filler()
            batches.put(True)
        batches.put(False)

    thread = threading.Thread(target=feed, name="loader-0")
    thread.start()
    own = native(STEP_S / 20, ExitStack())
    more = True
    while more:
        with watch("load"):
            more = next_batch(batches)
        with watch("forward"):
            forward(own)
    thread.join()


def train_healthy(rounds: Rounds, filler: Work, pace: Pace, watch: Watch) -> None:
    """Three stages of like size and a quick load: nothing is wrong."""
    while pace.goes_on():
        with watch("load"):
            load_batch(rounds)
        for name, stage in (("forward", forward), ("backward", backward)):
            with watch(name):
                stage(filler)
        with watch("update"):
            update(filler)


def fixed(units: int) -> Work:
    """So many buffers hashed, whatever it takes."""

    def work() -> None:
        for _ in range(units):
            hashlib.sha256(BUFFER)

    return work


def units_for(seconds: float) -> int:
    """Buffers hashed in so much time, from the best of a few tries."""
    times = []
    for _ in range(20):
        begun = time.thread_time_ns()
        hashlib.sha256(BUFFER)
        times.append(time.thread_time_ns() - begun)
    return max(round(seconds * 1e9 / min(times)), 1)


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
    works = [CAUSES[name](seconds, stack) for name in names]
    rounds, watch = Rounds(works), Watch()
    facts: dict[str, object] = {"causes": names}
    if not names:
        units = facts["units"] = options.units or units_for(STEP_S / 3)
        train_healthy(rounds, fixed(units), Pace(options), watch)
    else:
        in_loader = options.place == "loader"
        used = options.share * TAKES.get(names[0], 1.0)
        rest = STEP_S * max(1 - used, 0.05)
        filler = filler_for(names[0], in_loader, rest)
        loop = train_fed if in_loader else train
        loop(rounds, filler, Pace(options), watch)
    facts |= {"steps": len(rounds.start_ns), "stages": watch.seconds()}
    return facts | rounds.truth()


def main() -> None:
    """Run the loop and tell its truth, or why it cannot be had."""
    parser = ArgumentParser(
        description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=0, help="number of steps")
    parser.add_argument("--seconds", type=float, default=1.5, help="without --steps")
    causes = (*CAUSES, "none")
    parser.add_argument("--cause", nargs="+", choices=causes, default=["sleep"])
    parser.add_argument("--share", type=float, default=0.4, help="of the step")
    parser.add_argument("--place", choices=("trainer", "loader"), default="trainer")
    parser.add_argument("--units", type=int, default=0, help="fixed work a stage")
    parser.add_argument("--truth", type=Path, help="write the truth to this file")
    options = parser.parse_args()
    with ExitStack() as stack:
        try:
            truth = run(options, stack)
        except Unavailable as error:
            truth = {"unavailable": str(error)}
        except KeyboardInterrupt:
            sys.exit(130)
    if options.truth:
        options.truth.write_text(json.dumps(truth), encoding="utf-8")
    else:
        print("truth " + json.dumps(truth), flush=True)


if __name__ == "__main__":
    main()
