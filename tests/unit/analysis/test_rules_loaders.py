"""Rules on DataLoaders: what workers do while the trainer waits, and what helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from made_loops import (
    LOOP,
    kinds,
    lines,
    loaders,
    loop_of,
    only,
    threads,
    trainer_thread,
)

from debottleneck.analysis.feeding import HANDING, STARTING, LoaderWork
from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.result import Analysis
from debottleneck.analysis.rules.contention import contenders
from debottleneck.analysis.rules.loaders import advice
from debottleneck.prediction.actions import only_tried

FED = LoaderWork(2, 60.0, {"python": 0.9, HANDING: 0.1}, 0.1, {"python": 120.0})
LINES = lines(
    ("other", "worker", "MainThread", "idle", 99, 1.0),
    ("load", "worker", "MainThread", "slow_python", 33, 0.9),
    ("load", "trainer", "MainThread", "<module>", 99, 1.0),
)
WORK = [
    {"stage": "load", "role": "worker", "cause": "python", "ms_per_step": 120.0},
    {"stage": "other", "role": "worker", "cause": "ipc", "ms_per_step": 900.0},
]


def fed_loop(
    feeding: LoaderWork = FED,
    cores: int = 8,
    told: Mapping[str, Any] | None = None,
    **shares: float,
) -> Analysis:
    """A trainer that waits 60 of 100 ms for two workers, at work all the time."""
    worker = {"name": "MainThread", "role": "worker", "python": 0.9}
    waiting = {("load", "ipc"): 0.6, ("forward", "native"): 0.4}
    return loop_of(
        waiting | {tuple(key.split("_", 1)): part for key, part in shares.items()},  # type: ignore[misc] # two words
        loop=replace(LOOP, step_ms=100.0),
        threads=threads(trainer_thread(native=0.4), worker | {"pid": 7}, worker),
        other_roles=WORK,
        lines=LINES,
        cores=cores,
        feeding=feeding,
        told=told or loaders(7, 8),
    )


def test_the_cause_and_the_line_are_the_workers() -> None:
    """Of the stage that workers spend their time in, not where they idle."""
    (one,) = diagnose(fed_loop())
    assert (one.kind, one.stage) == ("starvation", "load")
    assert "waiting for 2 loader processes in `load`" in one.summary
    assert "for 90 % of that they are running Python code in `slow_python`" in (
        one.summary
    )
    assert one.where[0].line == 33


@pytest.mark.parametrize(
    ("cores", "cause", "says", "trial"),
    [
        (8, "python", "num_workers=3", "dataloader:workers=3,persistent"),
        (2, "python", "no core is free for more", None),
        (1, "python", "num_workers=1", "dataloader:workers=1"),
        (
            2,
            "sleep",
            "num_workers=3 and persistent_workers=True: those waits",
            "dataloader:workers=3,persistent",
        ),
        (2, HANDING, "collate a batch to one tensor", None),
        (2, STARTING, "persistent_workers=True", "dataloader:persistent"),
        (2, "memory", "NumPy arrays or tensors", None),
    ],
)
def test_advice_comes_from_evidence(
    cores: int, cause: str, says: str, trial: str | None
) -> None:
    """More workers where cores are free or they wait; fewer where cores lack."""
    analysis = fed_loop(replace(FED, parts={cause: 1.0}), cores)
    assert says in advice(analysis).text
    assert advice(analysis).trials == ((trial,) if trial else ())
    (finding, *_) = diagnose(analysis)
    assert only_tried(finding, analysis) == ([trial] if trial else [])


def test_tensors_go_by_files_only_from_workers_that_stay() -> None:
    """From those that are started anew that was measured to be slower."""
    handed = replace(FED, parts={HANDING: 1.0})
    stay = fed_loop(handed, told=loaders(7, 8, persistent=True))
    assert advice(stay).trials == ("dataloader:sharing=file_system",)
    files = loaders(7, 8, persistent=True, sharing="file_system")
    assert advice(fed_loop(handed, told=files)).trials == ()


def test_libraries_threads_in_workers_are_too_many() -> None:
    """Where workers compute and pools of theirs want cores."""
    analysis = fed_loop(replace(FED, parts={"native": 1.0}), 2)
    pool = threads({"name": "pt_data_worker", "role": "pool", "runqueue": 0.8})
    crowd = pd.concat([analysis.threads, pool.assign(pid=7)])
    assert advice(replace(analysis, threads=crowd)).trials == ("blas:threads=1",)
    assert "OMP_NUM_THREADS" not in advice(analysis).text


def test_batches_of_tensors_may_be_taken_whole() -> None:
    """Only there is that tried."""
    analysis = fed_loop(told=loaders(7, 8, of_tensors=True))
    assert advice(analysis).trials[0] == "dataloader:whole"


def test_workers_that_are_started_at_each_epoch() -> None:
    """A finding with how often, and the most that it gains; none if they stay."""
    shares = {"start of workers_lock": 0.1}
    again = fed_loop(told=loaders(7, 8, epochs=6), **shares)
    one = only(diagnose(again), "worker-starts")
    assert "started and ended: 6 times" in one.summary
    assert "persistent_workers=True" in one.action
    assert "1.11x" in one.action
    assert only_tried(one, again) == ["dataloader:persistent"]
    kept = fed_loop(told=loaders(7, 8, epochs=6, persistent=True), **shares)
    once = fed_loop(told=loaders(7, 8), **shares)
    assert kinds(diagnose(kept)) == kinds(diagnose(once)) == ["starvation"]


def slow(**more: Any) -> dict[str, Any]:
    """A worker told of item 421, which took it 90 ms."""
    took = {"pid": 7, "index": "421", "took_ns": 90e6, "usual_ns": 2e6, "p99_ns": 80e6}
    return loaders(7, 8, **more) | {"slow_items": ({**took, "items": 640},)}


def test_the_item_that_others_wait_behind_is_named() -> None:
    """Where one worker holds up the batch while others are idle."""
    alone = replace(FED, alone=0.7)
    one = only(diagnose(fed_loop(alone, told=slow())), "slow-item")
    assert "item 421 took 90 ms (median 2, 99 % within 80)" in one.summary
    assert "in_order=False" in one.action
    old = only(diagnose(fed_loop(alone, told=slow(may_reorder=False))), "slow-item")
    assert "in_order" not in old.action
    assert kinds(diagnose(fed_loop(told=slow()))) == ["starvation"]
    queued = replace(alone, made_ms={"python": 50.0, "runqueue": 50.0})
    assert kinds(diagnose(fed_loop(queued, told=slow()))) == ["starvation"]
    assert kinds(diagnose(fed_loop(alone, told=slow(ordered=False)))) == ["starvation"]


def test_pages_copied_in_workers_are_a_finding() -> None:
    """Beside the main cause, by their part of the workers' work."""
    made = {"python": 80.0, "memory": 40.0}
    copying = replace(FED, made_ms=made, copied=1234.0)
    one = only(diagnose(fed_loop(copying)), "page-faults")
    assert "33 % of the loader processes' work is page faults, 1,234 a step" in (
        one.summary
    )
    assert "not in lists and dicts" in one.action


def test_without_workers_the_number_is_what_the_trainer_needs() -> None:
    """60 ms of loading beside 40 of the rest: two workers, if there are cores."""
    shares = {("load", "python"): 0.6, ("forward", "native"): 0.4}
    made = {
        "loop": replace(LOOP, step_ms=100.0),
        "threads": threads(trainer_thread(python=0.6, native=0.4)),
        "told": loaders(),
    }
    assert "num_workers=2" in advice(loop_of(shares, cores=4, **made)).text
    assert "num_workers=2" in advice(loop_of(shares, cores=2, **made)).text
    assert "no core is free" in advice(loop_of(shares, cores=1, **made)).text


def test_threads_that_lived_for_a_while_want_less() -> None:
    """A process of a tenth of the time is a tenth of one that wants a core."""
    made = fed_loop()
    short = made.threads.assign(wall_ms=[1000.0, 1000.0, 50.0])
    before, after = contenders(made), contenders(replace(made, threads=short))
    assert before is not None
    assert after is not None
    assert (before.at_once, after.at_once) == (3, 2)


def test_a_wait_for_a_core_is_told_beside_the_work() -> None:
    """What they would do on one is their cause; that no core is free comes after it."""
    parts = {"runqueue": 0.6, "python": 0.3, HANDING: 0.1}
    (one, *_) = diagnose(fed_loop(replace(FED, parts=parts)))
    assert "for 90 % of that they are running Python code in `slow_python`" in (
        one.summary
    )
    assert "60 % of it with no core free" in one.summary
    assert one.evidence["producer_cause"] == "python"
