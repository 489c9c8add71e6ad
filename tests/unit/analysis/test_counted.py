"""Collections, page faults and quotas: counted, and laid on the rows they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from made_runs import (
    FACTS,
    MS,
    PID,
    loop_words,
    marks,
    running,
    sites,
    table,
    threads,
    wait,
    waits,
)

from debottleneck.analysis.analyse import analyse
from debottleneck.recording.recording import Recording

STEPS = 12
FAULT_NS = 2000.0


def found(
    stages: dict[str, tuple[float, float]],
    rows: Sequence[Sequence[int]] = (),
    collections: Sequence[tuple[float, float, float, int]] = (),
    counters: Sequence[tuple[float, float, float, int]] = (),
) -> dict[tuple[str, str], float]:
    """(stage, cause) -> milliseconds a step of the trainer.

    Args:
        stages: Name -> (wall ms, CPU ms), one after the other in each step.
        rows: Of the table of waits.
        collections: (start, end, CPU ms, generation).
        counters: (ms, ms in the kernel, ms stopped by the quota, faults).
    """
    made = {
        "sites": sites(),
        "marks": marks({PID: loop_words(STEPS + 1, stages)}),
        "threads": threads((PID, "MainThread")),
        "waits": waits(rows),
        "collections": table(
            "collections",
            [
                (PID, PID, round(a * MS), round(b * MS), round(c * MS), 0, g, 0)
                for a, b, c, g in collections
            ],
        ),
        "counters": table(
            "counters",
            [
                (PID, PID, round(t * MS), round(s * MS), round(q * MS), n, 0)
                for t, s, q, n in counters
            ],
        ),
    }
    rates = {"sampler": {"fault_ns": FAULT_NS, "huge_fault_ns": 0.0}}
    facts = replace(FACTS, options={"warmup": 0}, rates=rates)
    causes = analyse(Recording.of(facts, made)).causes
    own = causes[causes["role"] == "trainer"]
    keys = zip(own["stage"], own["cause"], strict=True)
    return dict(zip(keys, own["ms_per_step"], strict=True))


TWO = {"load": (20.0, 20.0), "forward": (20.0, 20.0)}


def every_step(*parts: tuple[float, ...]) -> list[tuple[float, ...]]:
    """These in each step of 40 ms, of which the first number is the time."""
    return [(n * 40 + at, *rest) for n in range(STEPS + 1) for at, *rest in parts]


def ticks(of_step: Sequence[tuple[float, float]]) -> list[tuple[int, ...]]:
    """Running samples of each step of 40 ms, the GIL held."""
    return [
        running(n * 40 + a, n * 40 + b) for n in range(STEPS + 1) for a, b in of_step
    ]


def test_a_collection_is_the_rows_in_which_it_lies() -> None:
    """Of one that reaches over two rows each has its part, sampled or not."""
    times = [(n * 40 + 15.0, n * 40 + 25.0, 10.0, 2) for n in range(STEPS)]
    without = found(TWO, collections=times)
    assert without["load", "gc"] == pytest.approx(5)
    assert without["forward", "gc"] == pytest.approx(5)
    assert without["forward", "unattributed"] == pytest.approx(15)
    sampled = found(TWO, ticks([(0, 20), (20, 40)]), times)
    assert sampled["forward", "gc"] == pytest.approx(5)
    assert sampled["forward", "python"] == pytest.approx(15)


def test_samples_within_a_collection_say_nothing_of_the_rest() -> None:
    """It holds the GIL, the code around it did not."""
    rows = []
    for n in range(STEPS + 1):
        rows += [running(n * 40, n * 40 + 20, holder=0)]
        rows += [running(n * 40 + 20, n * 40 + 30, holder=0)]
        rows += [running(n * 40 + 30, n * 40 + 40)]
    times = [(n * 40 + 30.0, n * 40 + 40.0, 10.0, 2) for n in range(STEPS)]
    causes = found(TWO, rows, times)
    assert causes["forward", "gc"] == pytest.approx(10)
    assert causes["forward", "native"] == pytest.approx(10)
    assert ("forward", "python") not in causes


def test_a_young_collection_that_lost_its_core_counts_as_the_others() -> None:
    """Its wall time is no time on a core."""
    usual = [(n * 40 + 1.0, n * 40 + 1.1, 0.1, 0) for n in range(STEPS)]
    late = [(n * 40 + 21.0, n * 40 + 36.0, 15.0, 0) for n in range(0, STEPS, 4)]
    causes = found(TWO, collections=[*usual, *late])
    assert causes["load", "gc"] == pytest.approx(0.1)
    assert causes["forward", "gc"] == pytest.approx(0.8 / 4)


def test_faults_are_laid_where_their_counts_vary_with_the_row() -> None:
    """Ticks overlap both rows; those that lie more in one have more of its faults."""
    rows = ticks([(0, 10), (10, 25), (25, 40)])
    grown = every_step((10, 2.0, 0.0, 1000), (25, 2.0, 0.0, 1000), (40, 0.0, 0.0, 0))
    causes = found(TWO, rows, counters=grown)
    assert causes["load", "memory"] == pytest.approx(4, rel=0.05)
    assert causes.get(("forward", "memory"), 0.0) < 0.2


def test_faults_take_no_more_than_the_time_in_the_kernel() -> None:
    """And system calls, which the kernel counts alike, are no faults."""
    rows = ticks([(0, 20), (20, 40)])
    few = found(TWO, rows, counters=every_step((20, 10.0, 0.0, 100)))
    assert few["load", "memory"] == pytest.approx(0.4)
    many = found(TWO, rows, counters=every_step((20, 1.0, 0.0, 5000)))
    assert many["load", "memory"] == pytest.approx(1)
    assert many["load", "python"] == pytest.approx(19)


def test_the_quotas_part_of_a_wait_for_a_core_is_its_own_cause() -> None:
    """The rest of the delay stays with the run queue."""
    stages = {"load": (20.0, 20.0), "forward": (20.0, 8.0)}
    rows = []
    for n in range(STEPS + 1):
        rows += [running(n * 40, n * 40 + 20)]
        rows += [wait(n * 40 + 20, n * 40 + 40, "running", oncpu=8, delay=12)]
    causes = found(stages, rows, counters=every_step((40, 0.0, 9.0, 0)))
    assert causes["forward", "throttle"] == pytest.approx(9, rel=0.05)
    assert causes["forward", "runqueue"] == pytest.approx(3, rel=0.15)
