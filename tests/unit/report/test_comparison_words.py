"""Comparisons as text and JSON: what they promise, and what they refuse."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import comparisons
import jsonschema
import pytest
from comparisons import with_first

from debottleneck.errors import RecordingError
from debottleneck.report import COMPARISON_FORMATS, render_comparison
from debottleneck.report.machine import comparison as machine
from debottleneck.report.text import comparison
from debottleneck.report.words import comparison as words
from debottleneck.report.words import strategies
from debottleneck.trials import result
from debottleneck.trials.result import NUMBERS, VERDICTS, Interval

NAMES = list(comparisons.COMPARISONS)


def objects(**properties: Any) -> dict[str, Any]:
    """The schema of an object that has all of these, and may have more."""
    return {"type": "object", "required": list(properties), "properties": properties}


TEXT, OBJECT = {"type": "string"}, {"type": "object"}
TEXTS = {"type": "array", "items": TEXT}
PLACE, SIGNED = {"type": ["string", "null"]}, {"type": ["number", "null"]}
POSITIVE, COUNT = {**SIGNED, "minimum": 0}, {"type": "integer", "minimum": 0}
BOUNDED = dict.fromkeys(("step_ms", "low", "high"), POSITIVE)
PREDICTED = objects(
    **BOUNDED,
    **dict.fromkeys(("speedup", "step_low", "step_high"), POSITIVE),
    **dict.fromkeys(("step_error", "speedup_error"), SIGNED),
    limit=TEXT,
    inside={"type": ["boolean", "null"]},
)
TRIAL = objects(
    strategy=TEXT,
    settings={**OBJECT, "additionalProperties": {"type": ["integer", "string"]}},
    verdict={"enum": list(VERDICTS)},
    step_ms=POSITIVE,
    speedup=POSITIVE,
    low=POSITIVE,
    high=POSITIVE,
    rounds=COUNT,
    memory_mb=SIGNED,
    numbers={"enum": list(NUMBERS)},
    predicted={**PREDICTED, "type": ["object", "null"]},
    why=TEXT,
    spec=TEXT,
    cpu_ms=POSITIVE,
    did=TEXTS,
    checked_steps=COUNT,
    checked_epochs=COUNT,
)
SCHEMA = objects(
    schema={"const": machine.SCHEMA},
    baseline=objects(**BOUNDED, memory_mb=POSITIVE, cpu_ms=POSITIVE, name=PLACE),
    trials={"type": "array", "items": TRIAL},
    best=PLACE,
    keep=TEXTS,
    run=TEXT,
    deterministic={"type": "boolean"},
    notes=TEXTS,
    command=TEXTS,
    created=TEXT,
    rounds=COUNT,
    steps=COUNT,
    **dict.fromkeys(("folder", "before", "after"), PLACE),
    environment=OBJECT,
    recorded={"type": "boolean"},
)
"""What the document promises, its keys in this order."""


def document(name: str) -> dict[str, Any]:
    """The comparison's document after a trip through strict JSON."""
    text = render_comparison(comparisons.COMPARISONS[name](), "json")
    loaded: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_the_document_fits_its_schema(name: str) -> None:
    """Types, words and keys are those that scripts rely on."""
    loaded = document(name)
    jsonschema.validate(loaded, SCHEMA)
    assert list(loaded) == SCHEMA["required"]
    assert all({*row} == {*TRIAL["required"]} for row in loaded["trials"])


def test_every_key_is_documented() -> None:
    """Each key of the document and of its rows."""
    told = Path(__file__).parents[3].joinpath("docs", "json.md").read_text()
    for schema in (SCHEMA, SCHEMA["properties"]["baseline"], TRIAL, PREDICTED):
        for key in schema["required"]:
            assert f"`{key}`" in told


def test_a_prediction_is_an_object_with_its_errors() -> None:
    """Step, speed-up, their intervals and what came of them; null without one."""
    rows = {row["spec"]: row["predicted"] for row in document("predicted")["trials"]}
    update = rows["parallel-update:workers=2"]
    assert (update["speedup"], update["low"], update["high"]) == (1.06, 1.0, 1.12)
    assert update["step_error"] == pytest.approx(175.0 / (185.5 / 0.91) - 1)
    assert update["speedup_error"] == pytest.approx(1.06 / 0.91 - 1)
    assert update["inside"] is False
    assert rows["prefetch:workers=4"]["inside"] is True
    untried = rows["parallel-forward"]
    assert untried["limit"].startswith("threads would make it slower")
    errors = ("step_error", "speedup_error", "inside")
    assert [untried[key] for key in errors] == [None] * 3
    assert document("nothing")["trials"][0]["predicted"] is None


def test_what_was_not_measured_is_null() -> None:
    """No speed-up, no memory, no winner, no number: null, never 0 or an empty text."""
    interrupted = document("interrupted")
    assert interrupted["best"] is None
    assert interrupted["baseline"]["memory_mb"] is None
    row = interrupted["trials"][0]
    keys = ("step_ms", "speedup", "low", "memory_mb")
    assert [row[key] for key in keys] == [None] * 4
    odd = replace(comparisons.faster(), baseline_cpu_ms=float("nan"))
    loaded = json.loads(render_comparison(odd, "json"), parse_constant=pytest.fail)
    assert loaded["baseline"]["cpu_ms"] is None


OVERCLAIMS = {
    "interval includes 1": {"speedup": Interval(1.2, 0.99, 1.4)},
    "interval begins at 1": {"speedup": Interval(1.2, 1.0, 1.4)},
    "no interval": {"speedup": None},
    "numbers not verified": {"numbers": "unverified"},
    "numbers differ": {"numbers": "different"},
    "slower, but not shown": {
        "verdict": result.SLOWER,
        "speedup": Interval(0.9, 0.8, 1.0),
    },
    "best is not faster": {"verdict": result.SAME_SPEED},
}


@pytest.mark.parametrize("format", list(COMPARISON_FORMATS))
@pytest.mark.parametrize("claim", list(OVERCLAIMS))
def test_no_renderer_claims_more_than_was_shown(format: str, claim: str) -> None:
    """Whoever made the comparison: what its intervals do not show is not printed."""
    wrong = with_first(comparisons.faster(), **OVERCLAIMS[claim])
    with pytest.raises(RecordingError, match=r"prefetch:workers=4.*compare"):
        render_comparison(wrong, format)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        ((1.02, 1.0004, 1.05), "1.0004 to 1.0500"),
        ((0.98, 0.96, 0.997), "0.960 to 0.997"),
        ((1.01, 1.0, 1.02), "1.00 to 1.02"),
        ((13.4, 12.9, 14.02), "12.9 to 14.0"),
    ],
)
def test_a_bound_beside_1_is_not_printed_as_1(
    ratio: tuple[float, float, float], text: str
) -> None:
    """Digits grow until the reader sees on which side of 1 a bound lies."""
    assert words.bounds(Interval(*ratio)) == text


FASTER, NOTHING = comparisons.faster(), comparisons.nothing()
HEADLINES = {
    "refused": "Nothing is faster with the same numbers: parallel forward with "
    "2 threads is 1.20x as fast (1.10 to 1.30), but changes them.",
    "untried": "Nothing is faster: no strategy was tried.",
    "slower": "Nothing is faster: the best, parallel update, is 0.93x as fast (0.90 to "
    "0.96), which is slower.",
    "equal": "Prefetch with 4 threads, 8 ahead: 2.16x as fast (2.09 to 2.22), numbers "
    "equal within the tolerance.",
}
MORE = {
    "refused": replace(FASTER, trials=FASTER.trials[3:], best=""),
    "untried": replace(FASTER, trials=(), best=""),
    "slower": replace(NOTHING, trials=NOTHING.trials[1:]),
    "equal": with_first(FASTER, numbers="equal", memory_mb=None),
}


@pytest.mark.parametrize("name", list(HEADLINES))
def test_the_outcome_in_one_sentence(name: str) -> None:
    """Headlines of comparisons that no accepted text is of."""
    assert words.headline(MORE[name]) == HEADLINES[name]


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("prefetch", "prefetch"),
        ("prefetch:workers=1", "prefetch with 1 thread"),
        ("prefetch:workers=8,depth=16", "prefetch with 8 threads, 16 ahead"),
        ("prefetch:workers=2,where=process", "prefetch in 2 processes"),
        ("prefetch:where=process", "prefetch in another process"),
        ("prefetch:workers=auto", "prefetch with as many threads as help"),
        ("parallel-forward", "parallel forward"),
        (
            "parallel-forward:workers=2+parallel-update",
            "parallel forward with 2 threads and parallel update",
        ),
        ("runs/plain", "runs/plain"),
        ("", ""),
        ("prefetch:workers=\x1b", "prefetch:workers=\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_strategies_are_called_what_people_call_them(spec: str, name: str) -> None:
    """Settings become words; broken into pieces, as it is written, nothing is lost."""
    assert strategies.named(spec) == name
    pieces = [piece for strategy in strategies.pieces(spec) for piece in strategy]
    assert "".join(pieces) == words.clean(spec)


@pytest.mark.parametrize("width", [60, 72, 80, 93, 110, 160])
@pytest.mark.parametrize("name", NAMES)
def test_text_fits_and_no_number_is_broken(name: str, width: int) -> None:
    """Only code is longer than the width; a speed-up and its interval stay whole."""
    whole = comparisons.COMPARISONS[name]()
    lines = comparison.render(whole, width).splitlines()
    long = [line for line in lines if len(line) > width]
    assert all(line.startswith("    ") for line in long)
    for trial in whole.trials:
        pieces = [p for strategy in strategies.pieces(trial.spec) for p in strategy]
        assert name == "hostile" or all(p in "\n".join(lines) for p in pieces)
        if trial.speedup is not None:
            cell = f"({words.bounds(trial.speedup, '-')})"
            assert any(cell in line for line in lines)


def test_a_wide_table_leaves_nothing_out() -> None:
    """All columns are there, with their units."""
    wide = comparison.render(comparisons.faster(), 160)
    assert "Left out" not in wide
    assert "step, ms  memory, MB  CPU, ms\n" in wide


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.031, "+3.1 %"),
        (-0.0004, "-0.0 %"),
        (0.14, "+14 %"),
        (-0.0995, "-10 %"),
        (None, "-"),
        (float("nan"), "-"),
    ],
)
def test_errors_have_a_sign_and_few_digits(share: float | None, text: str) -> None:
    """About two figures, and nothing where nothing is known."""
    assert words.error(share) == text


def test_the_code_is_printed_as_it_is_typed() -> None:
    """The lines to keep and the command are whole lines, however long."""
    run = "bottleneck run " + " ".join("x" * 80)
    lines = comparison.render(replace(FASTER, run=run, keep=("y" * 120,))).splitlines()
    assert {f"    {'y' * 120}", f"    {run}"} <= set(lines)


def test_colour_is_for_terminals_only() -> None:
    """Escape sequences appear when asked for; the footer is the last line."""
    plain = comparison.render(FASTER, footer=("Page  a/report.html",))
    assert "\x1b" not in plain
    assert plain.endswith("\nPage  a/report.html\n")
    assert "\x1b[32m" in comparison.render(FASTER, colour=True)
