"""What the step gains where a row is faster: curves from blocks with delays."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import made_runs as made
import numpy as np
import pytest
from made_runs import MS, PID

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import RowCurve, VirtualSpeedups
from debottleneck.prediction.virtual import fitted, virtual_speedups
from debottleneck.recording.loop import CODE
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import PERCENTS

LOADER = 101
STEP = 10
"""Milliseconds; `forward` takes 6 of them, and `load` of the loader 8."""

TRIAL_STEPS = 12
FORWARD, LOAD = CODE["forward"], CODE["load"]


def recorded(rows: dict[int, dict[int, float]], **more: Any) -> Recording:
    """A run whose steps always take as long: what is credited in blocks differs.

    Args:
        rows: Site -> percent -> the part of the step that this is to gain.
        more: `rounds` of all of them, `slow`: after so many steps each takes twice as
            long; `alone`: no other thread marks.
    """
    rounds, slow = more.get("rounds", 3), more.get("slow", 10**9)
    trials: list[tuple[int, int, float]] = [(FORWARD, 0, 0.0)]
    for _ in range(rounds):
        for site, gains in rows.items():
            for percent, gain in gains.items():
                trials += [(site, percent, gain), (FORWARD, 0, 0.0)]
    count = 40 + TRIAL_STEPS * len(trials)
    starts = np.cumsum([STEP * (1 + (at >= slow)) for at in range(count + 1)]) - STEP
    words: list[tuple[float, str]] = []
    others: list[tuple[float, str]] = []
    for at in map(float, starts[:-1]):
        words += [(at, "|"), (at + 1, "+forward"), (at + 7, "-forward")]
        others += [(at, "+load"), (at + 8, "-load")]
    words.append((float(starts[-1]), "||"))
    delays, blocks = [], []
    for number, (site, percent, gain) in enumerate(trials):
        first = 40 + number * TRIAL_STEPS
        edges = starts[first : first + TRIAL_STEPS + 1]
        span = {"start_ns": int(edges[0]) * MS, "end_ns": int(edges[-1]) * MS}
        lengths = np.diff(edges)
        credits = zip(edges[:-1] + 5, np.cumsum(lengths * gain), strict=True)
        own = 6 if site == FORWARD else 8
        delays.append(
            {
                "site": site,
                "percent": percent,
                "delay_ns": own * MS * percent // 100,
                **span,
                "credits": tuple((int(t * MS), int(c * MS)) for t, c in credits),
            }
        )
        blocks.append(("delays", *span.values()))
    facts = replace(
        made.FACTS,
        end_ns=int(starts[-1]) * MS,
        delays=tuple(delays),
        options={"causal": True, "warmup": 1},
    )
    threads = {PID: words} if more.get("alone") else {PID: words, LOADER: others}
    tables = {
        "sites": made.sites(),
        "marks": made.marks(threads),
        "threads": made.threads((PID, "MainThread"), (LOADER, "loader-1")),
        "waits": made.waits(
            [
                made.running(at, at + 5, tid=tid)
                for tid in threads
                for at in range(0, 400, 5)
            ]
        ),
        "blocks": made.table("blocks", blocks),
    }
    return Recording.of(facts, tables)


def curves(recording: Recording) -> VirtualSpeedups:
    """What is said of it."""
    found = virtual_speedups(analyse(recording))
    assert found is not None
    return found


def curve(found: VirtualSpeedups, row: str) -> RowCurve:
    """That of one row."""
    (one,) = (each for each in found.rows if each.row == row)
    return one


BEND = {10: 0.06, 25: 0.15, 50: 0.2, 75: 0.2, 100: 0.2}
"""`forward` helps until the loader is the limit, at 20 % of the step."""


def test_a_curve_says_what_the_blocks_gained() -> None:
    """Credit is taken off the steps of a block; the limit is who else marks."""
    flat = dict.fromkeys(PERCENTS, 0.0)
    found = curves(recorded({FORWARD: BEND, LOAD: flat}))
    forward, load = curve(found, "forward"), curve(found, "load")
    assert found.rows == (forward, load)
    gains = {point.percent: point.gain for point in forward.points}
    assert gains == pytest.approx(BEND, abs=0.012)
    assert (forward.role, forward.knee, forward.limit) == ("trainer", 50, "the loader")
    assert forward.pass_ms == pytest.approx(6)
    assert forward.blocks == 3 * len(PERCENTS)
    assert all(p.low <= p.gain <= p.high for p in forward.points)
    assert load.points[-1].gain == pytest.approx(0, abs=0.005)
    assert (load.knee, load.limit) == (0, "the trainer")


def test_blocks_in_which_the_machine_changed_do_not_count() -> None:
    """Their neighbours without delays differ: something else ran meanwhile."""
    steady = recorded({FORWARD: BEND})
    uneven = recorded({FORWARD: BEND}, slow=40 + 5 * TRIAL_STEPS)
    one, other = (curve(curves(r), "forward") for r in (steady, uneven))
    assert (one.blocks, other.blocks) == (15, 14)
    gains = [[point.gain for point in row.points] for row in (one, other)]
    assert gains[1] == pytest.approx(gains[0], abs=0.02)


def test_a_row_with_few_blocks_has_no_curve() -> None:
    """A run that was too short says so instead."""
    assert curves(recorded({FORWARD: {25: 0.1}}, rounds=2)).rows == ()
    (row,) = curves(recorded({FORWARD: {25: 0.1, 50: 0.2}})).rows
    assert (row.knee, row.limit) == (100, "")  # no bend where none was seen


def test_one_thread_alone_gains_its_rows_share() -> None:
    """Nothing waits for it: no trial, the share times the part that goes."""
    found = curves(recorded({}, alone=True))
    (row,) = found.rows
    assert (row.row, row.blocks, row.knee, row.limit) == ("forward", 0, 100, "")
    gains = {point.percent: point.gain for point in row.points}
    assert gains == pytest.approx({p: 0.6 * p / 100 for p in PERCENTS})
    assert row.points[0].low <= row.points[0].gain <= row.points[0].high


def test_only_who_asked_is_told() -> None:
    """A run without --causal says nothing of it, whatever its threads."""
    recording = recorded({})
    recording = replace(recording, facts=replace(recording.facts, options={}))
    assert virtual_speedups(analyse(recording)) is None


def test_steps_with_delays_are_no_quiet_ones() -> None:
    """Nothing else is measured in them."""
    recording = recorded({FORWARD: BEND}, rounds=1)
    steps = analyse(recording).steps
    assert (steps["block"] == "delays").sum() == TRIAL_STEPS * len(
        recording.facts.delays
    )


def test_the_fit_is_concave_and_never_falls() -> None:
    """Through noise, too; of exact points it is those."""
    shares = np.repeat(np.array(PERCENTS) / 100, 20)
    rng = np.random.default_rng(1)
    truth = np.minimum(0.5 * shares, 0.2)
    assert fitted(shares, truth)[[0, 4]] == pytest.approx([0.05, 0.2], abs=0.012)
    fits = fitted(shares, truth + rng.normal(0, 0.1, (50, len(shares))))
    slopes = np.diff(np.hstack((np.zeros((50, 1)), fits))) / np.diff([0, *PERCENTS])
    assert (slopes >= -1e-9).all()
    assert (np.diff(slopes) <= 1e-9).all()
    assert fits.mean(axis=0)[-1] == pytest.approx(0.2, abs=0.03)
