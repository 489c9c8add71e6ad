"""Ranks side by side: who waits for whom."""

from __future__ import annotations

from dataclasses import replace

import made_runs as made
import pytest
from made_ranks import compared, rank_of

from debottleneck.analysis.analyse import analyse
from debottleneck.recording.recording import Recording


def test_waits_for_other_ranks_are_a_cause() -> None:
    """All time at such a site is `collective`, in the stage around it."""
    causes = analyse(rank_of(0)).causes
    waits = causes[causes["cause"] == "collective"]
    assert list(waits["stage"]) == ["backward"]
    assert float(waits["ms_per_step"].iloc[0]) == pytest.approx(25.0)


def test_the_rank_that_loads_longer_is_named() -> None:
    """With row, cause, and what all ranks would gain beyond the next one."""
    found = compared(rank_of(0), rank_of(1, load=24.0), rank_of(2, load=4.0)).straggler
    assert found is not None
    assert (found.rank, found.row, found.cause) == (1, "load", "sleep")
    assert found.beyond_ms == pytest.approx(21.0)
    assert found.gain_ms == pytest.approx(20.0)
    assert found.speedup[0] == pytest.approx(3.0)


def test_a_slow_backward_is_seen_though_all_steps_are_as_long() -> None:
    """Its own part of the stage is longer, not the stage."""
    found = compared(rank_of(0), rank_of(1), rank_of(2, backward=20.0)).straggler
    assert found is not None
    assert (found.rank, found.row) == (2, "backward")


@pytest.mark.parametrize("load", [2.0, 2.8])
def test_ranks_that_hardly_differ_are_balanced(load: float) -> None:
    """Nobody is named for a few per cent of the step."""
    ranks = compared(rank_of(0), rank_of(1, load=load), rank_of(2))
    assert ranks.told
    assert ranks.straggler is None
    assert ranks.difference_ms == pytest.approx(load - 2.0)


def test_runs_without_steps_are_not_compared() -> None:
    """Nor is a rank alone; nothing is guessed."""
    joined = replace(made.FACTS, ranks=rank_of(1).facts.ranks)
    assert not compared(rank_of(0), Recording.of(joined, {})).told
    assert not compared(rank_of(0)).told


def test_missing_ranks_are_known() -> None:
    """The world is larger than what was recorded."""
    assert compared(rank_of(0), rank_of(2)).missing == (1,)


def test_the_last_of_several_recordings_of_a_rank_counts() -> None:
    """A restarted rank has two."""
    first, later = rank_of(1, load=24.0), rank_of(1)
    later = replace(later, facts=replace(later.facts, created="2026-11-01T11:00:00"))
    ranks = compared(rank_of(0), later, first)
    assert [run.folder for run in ranks.runs] == ["rank-0", "rank-1"]


def test_clocks_of_other_machines_are_set_by_what_all_left_at_once() -> None:
    """The shift is what lies between the ends of the same collectives."""
    ranks = compared(rank_of(0), rank_of(1, boot="b", clock=5000.0), rank_of(2))
    assert [run.shift_ns for run in ranks.runs] == [0, -5000 * made.MS, 0]
