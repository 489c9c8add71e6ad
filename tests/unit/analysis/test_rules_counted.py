"""Findings on what is counted: collections, page faults, a quota."""

from __future__ import annotations

import pandas as pd
from made_loops import STEP_MS, kinds, loop_of, only, threads, trainer_thread
from made_runs import MS, PID, table

from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.result import Analysis


def with_tables(analysis: Analysis, **tables: pd.DataFrame) -> Analysis:
    """The analysis, of a recording with these tables, too."""
    for name, rows in tables.items():
        object.__setattr__(analysis.recording, name, rows)
    return analysis


def collected(*rows: tuple[int, int, int]) -> pd.DataFrame:
    """Collections of 10 ms as (generation, tracked, collected), of the trainer."""
    made = [
        (PID, 1, n * 100 * MS, (n * 100 + 10) * MS, MS, tracked, generation, freed)
        for n, (generation, tracked, freed) in enumerate(rows)
    ]
    return table("collections", made)


GC = {("load", "gc"): 0.3, ("load", "python"): 0.1, ("forward", "native"): 0.6}


def test_full_collections_look_at_every_object() -> None:
    """The finding says at how many, in which row, and what they free."""
    loop = with_tables(loop_of(GC), collections=collected((2, 120_000, 0), (0, 0, 0)))
    one = only(diagnose(loop), "gc-pauses")
    assert (one.stage, one.cause) == ("load", "gc")
    assert "in garbage collections, mostly in `load`: " in one.summary
    assert "120,000 objects again and again, and frees nothing." in one.summary
    assert "gc.freeze()" in one.action
    assert one.evidence["full_collections_part"] == 0.5


def test_young_collections_are_told_apart() -> None:
    """Where most of the time goes to young objects their number is no matter."""
    loop = with_tables(loop_of(GC), collections=collected(*[(0, 0, 5)] * 3))
    one = only(diagnose(loop), "gc-pauses")
    assert "young objects are made faster" in one.summary
    assert "frees 15 objects" in one.summary


def test_little_of_them_is_no_finding() -> None:
    """A twentieth of the step is what collections usually take."""
    shares = {
        ("load", "gc"): 0.05,
        ("load", "memory"): 0.05,
        ("load", "throttle"): 0.05,
    }
    loop = loop_of({**shares, ("forward", "native"): 0.85})
    assert not {"gc-pauses", "page-faults", "cpu-quota"} & {*kinds(diagnose(loop))}


def test_page_faults_name_the_row_and_how_many() -> None:
    """Fresh arrays in each step: kept ones, or memory that is not given back."""
    loop = loop_of({("augment", "memory"): 0.4, ("forward", "native"): 0.6})
    rows = [(PID, 1, n * 100 * MS, 0, 0, 2000, 1) for n in range(50)]
    one = only(
        diagnose(with_tables(loop, counters=table("counters", rows))), "page-faults"
    )
    assert (one.stage, one.cause) == ("augment", "memory")
    assert "2,000 times a step" in one.summary
    assert "out=" in one.action
    assert one.evidence["major_faults"] == 50


def test_a_quota_is_no_busy_machine() -> None:
    """What stops the trainer is the container's limit, not others' work."""
    shares = {("forward", "throttle"): 0.4, ("forward", "native"): 0.6}
    own = threads(trainer_thread(native=0.6, throttle=0.4))
    loop = loop_of(shares, threads=own, environment={"cpu_quota": 1.5}, cores=8)
    (one,) = diagnose(loop)
    assert (one.kind, one.cause) == ("cpu-quota", "throttle")
    assert "CPU quota of 1.5 cores" in one.summary
    assert one.evidence["ms_per_step"] == 0.4 * STEP_MS
