"""The ranks of a distributed run in every medium."""

from __future__ import annotations

import json
from dataclasses import replace

import examples
import made_runs as made
from made_ranks import compared, rank_of

from debottleneck.recording.recording import Recording
from debottleneck.report import render_ranks


def test_the_straggler_is_said_first_and_marked() -> None:
    """On the terminal, with its row and what all would gain."""
    ranks = compared(rank_of(0), rank_of(1, load=24.0), rank_of(2))
    text = render_ranks(ranks)
    assert text.startswith("What  Rank 1 holds the others up: the other ranks wait 25")
    assert "longer in `load`, mostly sleeping." in " ".join(text.split())
    assert "Without that all ranks are 3.75x" in " ".join(text.split())
    (marked,) = [line for line in text.splitlines() if line.endswith("straggler")]
    assert marked.split() == [
        "1",
        "24.0",
        "3.0",
        "-",
        "27.0",
        "3.0",
        "30.0",
        "straggler",
    ]


def test_balanced_ranks_and_missing_ones_are_said() -> None:
    """Nobody is marked."""
    text = " ".join(render_ranks(compared(rank_of(0), rank_of(2))).split())
    assert "The ranks are balanced" in text
    assert "Not recorded: rank 1 of 3." in text
    assert "straggler" not in text


def test_too_few_steps_are_said() -> None:
    """What cannot be told is not guessed."""
    joined = replace(made.FACTS, ranks=rank_of(1).facts.ranks)
    text = render_ranks(compared(rank_of(0), Recording.of(joined, {})))
    assert "cannot be compared" in text
    assert "Of 3 ranks only rank 0 is here." in render_ranks(compared(rank_of(0)))


def test_json_has_numbers_of_each_rank() -> None:
    """And the straggler's."""
    ranks = compared(rank_of(0), rank_of(1, load=24.0), rank_of(2))
    document = json.loads(render_ranks(ranks, "json"))
    assert document["straggler"]["rank"] == 1
    assert document["ranks"][1]["own_ms"] == {"load": 24.0, "backward": 3.0}
    assert document["ranks"][0]["waits_ms"] == 25.0


def test_the_page_draws_one_step_of_all_and_links_to_each() -> None:
    """Waits are bars of their own."""
    page = render_ranks(compared(rank_of(0), rank_of(1, load=24.0), rank_of(2)), "html")
    assert page.count('/report.html">Rank ') == 3
    assert '"name":"collective"' in examples.packed_in(page, "data").replace(" ", "")


def test_ranks_that_share_cores_gain_less() -> None:
    """Which is said beside the gain."""
    few = [rank_of(0), rank_of(1, load=24.0), rank_of(2)]
    few = [
        replace(run, facts=replace(run.facts, environment={"cores": cores}))
        for run, cores in zip(few, (2, 2, 2), strict=True)
    ]
    assert "3 ranks share 2 cores: the gain will be less" in render_ranks(
        compared(*few)
    )
