"""The JSON document: the keys that scripts rely on, and sums that hold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import examples
import pytest

from debottleneck.report import render
from debottleneck.report.machine import run as machine

NAMES = list(examples.EXAMPLES)
DOCUMENTED = Path(__file__).parents[3].joinpath("docs", "json.md").read_text()

KEYS = {
    "rows": "row file line end source parent side",
    "stages": "stage ms_per_step share low high",
    "causes": "stage role cause ms_per_step share",
    "findings": "kind stage cause role severity summary action evidence where",
    "instruments": "name slowdown",
    "not_measured": "what why remedy",
    "threads": "tid name role",
}
WAIT_KEYS = "stage role holder_thread holder_function holder_file holder_line share"


def document(name: str) -> dict[str, Any]:
    """The example's document after a trip through strict JSON."""
    text = render(examples.EXAMPLES[name](), "json")
    loaded: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_every_promised_key_is_there(name: str) -> None:
    """The keys of the schema exist in every document, and in every row; documented."""
    whole = document(name)
    assert whole["schema"] == machine.SCHEMA
    assert {"steps", "step_ms", "gil", "partial"} <= set(whole)
    assert all(f"`{key}`" in DOCUMENTED for key in whole)
    assert set(whole["gil"]) == {"handovers_per_s", "waits"}
    documented = set(re.findall(r"`(\w+)`", DOCUMENTED))
    assert {*whole["loop"], *machine.PLACE, "option"} <= documented
    for key, names in KEYS.items():
        assert all(set(names.split()) <= set(row) for row in whole[key])
    assert all(set(row) >= set(WAIT_KEYS.split()) for row in whole["gil"]["waits"])


@pytest.mark.parametrize("name", ["input_bound", "gil_bound", "healthy"])
def test_causes_of_the_trainer_sum_to_their_stage(name: str) -> None:
    """Causes add up to stages, and stages to the step."""
    whole = document(name)
    for stage in whole["stages"]:
        mine = [
            row["ms_per_step"]
            for row in whole["causes"]
            if row["role"] == "trainer" and row["stage"] == stage["stage"]
        ]
        assert sum(mine) == pytest.approx(stage["ms_per_step"])
    times = [stage["ms_per_step"] for stage in whole["stages"]]
    assert sum(times) == pytest.approx(whole["step_ms"])
    assert sum(stage["share"] for stage in whole["stages"]) == pytest.approx(1)


def test_what_was_not_measured_is_null() -> None:
    """A slow-down that was not measured and a missing step are null, never 0."""
    healthy = document("healthy")
    slowdowns = {row["name"]: row["slowdown"] for row in healthy["instruments"]}
    assert slowdowns["waits"] is None
    assert healthy["gil"]["handovers_per_s"] is None
    assert document("no_steps")["step_ms"] is None


def test_infinite_evidence_becomes_null() -> None:
    """Numbers that JSON lacks do not make the document unreadable."""
    analysis = examples.gil_bound()
    odd = {"a": float("inf"), "b": [float("nan"), 1], "c": {"d": 2}, 5: (1, None)}
    finding = replace(analysis.findings[0], evidence=odd, ceiling=float("inf"))
    text = render(replace(analysis, findings=(finding,)), "json")
    loaded = json.loads(text, parse_constant=pytest.fail)["findings"][0]
    assert loaded["ceiling"] is None
    plain = {"a": None, "b": [None, 1], "c": {"d": 2}, "5": [1, None]}
    assert loaded["evidence"] == plain
