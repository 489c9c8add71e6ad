"""Comparisons as text, JSON and page: what they promise, and what they refuse."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import comparisons
import examples
import pytest

from debottleneck.commands import main
from debottleneck.errors import RecordingError, UsageError
from debottleneck.recording.environment import Difference
from debottleneck.report import COMPARISON_FORMATS, render_comparison, strategy_words
from debottleneck.report.figures import sides
from debottleneck.report.html import answers
from debottleneck.report.html import comparison as pair
from debottleneck.report.machine import comparison as comparison_json
from debottleneck.report.text import comparison
from debottleneck.report.words import comparison as comparison_words
from debottleneck.trials import result
from debottleneck.trials import sides as evidence
from debottleneck.trials.ledger import Summary
from debottleneck.trials.result import Comparison, Interval
from debottleneck.trials.save import save

NAMES = list(comparisons.COMPARISONS)
KEYS = ["schema", "baseline", "trials", "best", "keep"]
BASELINE_KEYS = ["step_ms", "low", "high"]
TRIAL_KEYS = [
    "strategy",
    "settings",
    "verdict",
    "step_ms",
    "speedup",
    "low",
    "high",
    "rounds",
    "memory_mb",
    "numbers",
    "predicted",
    "why",
]


def refuse(constant: str) -> Any:
    """Stop at NaN and Infinity, which are not JSON."""
    raise ValueError(constant)


def document(name: str) -> dict[str, Any]:
    """The comparison's document after a trip through strict JSON."""
    text = render_comparison(comparisons.COMPARISONS[name](), "json")
    loaded: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return loaded


KINDS = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
}


def misfits(value: Any, schema: Any, at: str = "$") -> list[str]:
    """Where a value does not fit: the part of JSON Schema that ours uses."""
    kinds = schema.get("type", list(KINDS))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    found = [] if any(KINDS[kind](value) for kind in kinds) else [f"{at}: type"]
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: enum")
    if "const" in schema and value != schema["const"]:
        found.append(f"{at}: const")
    if value is not None and value < schema["minimum"] if "minimum" in schema else 0:
        found.append(f"{at}: minimum")
    if isinstance(value, dict):
        found += [
            f"{at}.{k}: missing" for k in schema.get("required", ()) if k not in value
        ]
        known, others = (
            schema.get("properties", {}),
            schema.get("additionalProperties", {}),
        )
        for key, each in value.items():
            found += misfits(each, known.get(key, others), f"{at}.{key}")
    for index, each in enumerate(value if isinstance(value, list) else ()):
        found += misfits(each, schema.get("items", {}), f"{at}[{index}]")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_document_fits_its_schema(name: str) -> None:
    """Types, words and required keys are those that the schema states."""
    assert misfits(document(name), comparison_json.JSON_SCHEMA) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"schema": 1}, "$.schema: const"),
        ({"best": 3}, "$.best: type"),
        ({"rounds": -1}, "$.rounds: minimum"),
        ({"keep": [1]}, "$.keep[0]: type"),
        ({"baseline": {}}, "$.baseline.step_ms: missing"),
    ],
)
def test_the_schema_refuses(change: dict[str, Any], where: str) -> None:
    """A document with a wrong part does not fit, so that fitting says something."""
    assert where in misfits(
        {**document("faster"), **change}, comparison_json.JSON_SCHEMA
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_promised_keys_come_first(name: str) -> None:
    """The keys that scripts rely on, in the order that was promised."""
    whole = document(name)
    assert list(whole)[: len(KEYS)] == KEYS
    assert list(whole["baseline"])[: len(BASELINE_KEYS)] == BASELINE_KEYS
    assert all(list(row)[: len(TRIAL_KEYS)] == TRIAL_KEYS for row in whole["trials"])


def test_every_key_is_documented() -> None:
    """The module's docstring names each key of the document and of its rows."""
    text = comparison_json.__doc__ or ""
    whole = document("faster")
    row = whole["trials"][0]
    for key in (*whole, *whole["baseline"], *row, *row["predicted"]):
        assert f"`{key}`" in text


def test_a_prediction_is_an_object_with_its_errors() -> None:
    """Step, speed-up, their intervals and what came of them; null without one."""
    rows = {row["spec"]: row["predicted"] for row in document("predicted")["trials"]}
    said = rows["parallel-update:workers=2"]
    assert (said["speedup"], said["low"], said["high"]) == (1.06, 1.0, 1.12)
    assert said["step_error"] == pytest.approx(175.0 / (185.5 / 0.91) - 1)
    assert said["speedup_error"] == pytest.approx(1.06 / 0.91 - 1)
    assert said["inside"] is False
    assert rows["prefetch:workers=4"]["inside"] is True
    unknown = rows["parallel-forward"]
    assert unknown["limit"].startswith("threads would make it slower")
    errors = ("step_error", "speedup_error", "inside")
    assert [unknown[key] for key in errors] == [None] * 3
    assert document("nothing")["trials"][0]["predicted"] is None


def test_what_was_not_measured_is_null() -> None:
    """No speed-up, no memory, no winner: null, never 0 or an empty text."""
    whole = document("interrupted")
    assert whole["best"] is None
    assert whole["baseline"]["memory_mb"] is None
    row = whole["trials"][0]
    assert [row[key] for key in ("step_ms", "speedup", "low", "memory_mb")] == [
        None
    ] * 4


def test_numbers_that_json_lacks_become_null() -> None:
    """Infinity and NaN do not make the document unreadable."""
    odd = replace(comparisons.faster(), baseline_cpu_ms=float("nan"))
    text = render_comparison(odd, "json")
    assert json.loads(text, parse_constant=refuse)["baseline"]["cpu_ms"] is None


def with_first(whole: Comparison, **changes: Any) -> Comparison:
    """The comparison with its first row changed."""
    first, *others = whole.trials
    return replace(whole, trials=(replace(first, **changes), *others))


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


def test_a_bound_beside_1_is_not_printed_as_1() -> None:
    """Digits grow until the reader sees on which side of 1 a bound lies."""
    assert comparison_words.bounds(Interval(1.02, 1.0004, 1.05)) == "1.0004 to 1.0500"
    assert comparison_words.bounds(Interval(0.98, 0.96, 0.997)) == "0.960 to 0.997"
    assert comparison_words.bounds(Interval(1.01, 1.0, 1.02)) == "1.00 to 1.02"
    assert comparison_words.bounds(Interval(13.4, 12.9, 14.02)) == "12.9 to 14.0"


HEADLINES = {
    "faster": "Prefetch with 4 threads, 8 ahead: 2.16x faster (2.09 to 2.22), same "
    "numbers, +38 MB.",
    "nothing": "Nothing is faster: the best, prefetch with 2 threads, is 1.01x as fast "
    "(0.98 to 1.03), which is no difference.",
    "unverified": "Nothing is shown to be safe: prefetch with 4 threads is 2.60x as "
    "fast (2.51 to 2.70), but its numbers are unverified.",
    "interrupted": "Nothing is faster: 1 failed, 1 not finished.",
    "skipped": "Nothing was tried: the best prediction, prefetch in 2 processes, is "
    "1.00x (0.95 to 1.05).",
}


@pytest.mark.parametrize("name", list(HEADLINES))
def test_the_outcome_in_one_sentence(name: str) -> None:
    """The headline says what won and by how much, or why nothing did."""
    whole = comparisons.COMPARISONS[name]()
    assert comparison_words.headline(whole) == HEADLINES[name]


def test_the_outcome_when_only_refused_ones_are_fast() -> None:
    """Fast with other numbers is not faster; nothing tried is said as well."""
    whole = comparisons.faster()
    refused = replace(whole, trials=whole.trials[3:], best="")
    assert comparison_words.headline(refused) == (
        "Nothing is faster with the same numbers: parallel forward, each batch in 2 "
        "parts is 1.20x as fast (1.10 to 1.30), but changes them."
    )
    none = replace(whole, trials=(), best="")
    assert "no strategy was tried" in comparison_words.headline(none)
    slower = replace(comparisons.nothing(), trials=comparisons.nothing().trials[1:])
    assert comparison_words.headline(slower).endswith("which is slower.")


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
            "parallel-forward:workers=2,chunks=4+parallel-update",
            "parallel forward with 2 threads, each batch in 4 parts and parallel "
            "update",
        ),
        ("runs/plain", "runs/plain"),
        ("", ""),
        ("prefetch:workers=\x1b", "prefetch:workers=\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_strategies_are_called_what_people_call_them(spec: str, name: str) -> None:
    """Settings become words; what is no strategy stays as it is."""
    assert strategy_words.named(spec) == name


def test_equal_numbers_are_not_called_the_same() -> None:
    """Within a tolerance is not bit by bit."""
    equal = with_first(comparisons.faster(), numbers="equal", memory_mb=None)
    assert comparison_words.headline(equal).endswith(
        "(2.09 to 2.22), numbers equal within the tolerance."
    )


@pytest.mark.parametrize("width", [60, 72, 80, 93, 110, 160])
@pytest.mark.parametrize("name", NAMES)
def test_text_fits_and_no_number_is_broken(name: str, width: int) -> None:
    """Only code is longer than the width; a speed-up and its interval stay whole."""
    whole = comparisons.COMPARISONS[name]()
    text = comparison.render(whole, width)
    long = [line for line in text.splitlines() if len(line) > width]
    assert all(line.startswith("    ") for line in long)
    for trial in whole.trials:
        assert name == "hostile" or all(
            piece in text
            for one in comparison_words.pieces(trial.spec)
            for piece in one
        )
        if trial.speedup is not None:
            cell = f"({comparison_words.bounds(trial.speedup, '-')})"
            assert any(cell in line for line in text.splitlines())


def test_a_narrow_table_says_what_it_leaves_out() -> None:
    """Columns go in a fixed order, and their names are printed; a wide one has all."""
    narrow = comparison.render(comparisons.faster(), 80)
    assert "Left out for want of width: step, error, memory, CPU." in narrow
    assert "Trials, best first\n" in narrow
    wide = comparison.render(comparisons.faster(), 160)
    assert "Left out" not in wide
    assert "Trials, best first; ms a step, MB beyond the plain script's\n" in wide


@pytest.mark.parametrize("width", [80, 120])
def test_predictions_stand_beside_measured_speedups(width: int) -> None:
    """With the error of the step time, also where the terminal is narrow."""
    text = comparison.render(comparisons.predicted(), width)
    both = r"1\.52x \(1\.44-1\.60\)  1\.56x \(1\.42-1\.71\) +-2\.6 %"
    assert re.search(both, text)
    assert re.search(r"0\.69x \(0\.55-0\.87\) +- .* not", text)
    words = " ".join(text.split())
    assert "parallel-forward: predicted 0.69x (0.55 to 0.87): threads would" in words
    assert "Errors are of the predicted step time." in words


def test_without_measurements_there_are_no_errors() -> None:
    """What is predicted hopeless has a prediction, and no column for its error."""
    text = " ".join(comparison.render(comparisons.skipped(), 120).split())
    assert "speed-up (95 %) predicted memory" in text
    assert "Errors are" not in text
    assert "0 rounds" not in text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.031, "+3.1 %"),
        (-0.0004, "-0.0 %"),
        (0.14, "+14 %"),
        (-0.0995, "-10 %"),
        (3.0, "+300 %"),
        (None, "-"),
        (float("nan"), "-"),
    ],
)
def test_errors_have_a_sign_and_few_digits(share: float | None, text: str) -> None:
    """About two figures, and nothing where nothing is known."""
    assert comparison_words.error(share) == text


def test_predictions_so_far_in_one_line() -> None:
    """How many, how far off, how many inside, and where they are kept."""
    line = comparison_words.so_far(Summary(1200, 0.031, 0.14, 0.83), "a/b.parquet")
    assert line == (
        "Predictions so far: 1,200, median error 3.1 %, worst 14 %, 83 % inside their "
        "interval (a/b.parquet)"
    )


def test_a_reason_is_printed_once() -> None:
    """Rows with the same reason share its line."""
    text = " ".join(comparison.render(comparisons.unverified()).split())
    reason = "your script differs from itself; set its seeds"
    assert text.count(reason) == 1
    assert f"prefetch:workers=4, prefetch:workers=2: {reason}" in text


def test_the_code_is_printed_as_it_is_typed() -> None:
    """The lines to keep and the command are whole lines, however long."""
    whole = comparisons.faster()
    long = replace(whole, run="bottleneck run " + "x " * 80, keep=("y" * 120,))
    lines = comparison.render(long).splitlines()
    assert "    " + "y" * 120 in lines
    assert "    bottleneck run " + ("x " * 80).strip() in lines


def test_hostile_text_is_printed_without_control_characters() -> None:
    """Escape sequences in reasons and code never reach the terminal."""
    text = comparison.render(comparisons.hostile())
    assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_colour_is_for_terminals_only() -> None:
    """Escape sequences appear when asked for; the footer is the last line."""
    plain = comparison.render(comparisons.faster(), footer=("Page  a/report.html",))
    assert "\x1b" not in plain
    assert plain.endswith("\nPage  a/report.html\n")
    assert "\x1b[32m" in comparison.render(comparisons.faster(), colour=True)


@pytest.mark.parametrize(
    "spec",
    [
        "prefetch",
        "prefetch:workers=4,depth=8",
        "prefetch:workers=4,where=process+parallel-update:workers=2+parallel-forward",
        "",
    ],
)
def test_pieces_of_a_strategy_join_to_it(spec: str) -> None:
    """Breaking a strategy's text loses and adds nothing."""
    joined = ["".join(strategy) for strategy in comparison_words.pieces(spec)]
    assert "".join(joined) == spec


DIFFERENCES = (
    Difference("cores", "8", "4", matters=True),
    Difference("memory (GiB)", "31", "64", matters=False),
)


@pytest.fixture(scope="module")
def both() -> str:
    """The page of a comparison with both recordings."""
    whole = comparisons.faster()
    plain = comparisons.with_sources(examples.input_bound())
    shown = comparisons.shown(
        whole, plain, comparisons.after(), trials=True, differences=DIFFERENCES
    )
    return pair.render(whole, shown)


def data_of(html: str) -> dict[str, Any]:
    """The page's figures."""
    found = re.search(r'id="data">(.*?)</script>', html, re.DOTALL)
    figures: dict[str, Any] = json.loads(found[1])["figures"]
    return figures


def test_both_recordings_share_rows_and_scales(both: str) -> None:
    """The same rows, columns, shades and axes of time on both sides."""
    drawn = data_of(both)
    before, after = drawn["causes-before"], drawn["causes-after"]
    assert before["data"][0]["x"] == after["data"][0]["x"]
    assert before["data"][0]["y"] == after["data"][0]["y"]
    assert before["layout"]["coloraxis"] == after["layout"]["coloraxis"]
    for name, axis in (("steps", "yaxis"), ("timeline", "xaxis")):
        pairs = [drawn[f"{name}-{id}"]["layout"][axis] for id in ("before", "after")]
        assert pairs[0]["range"] == pairs[1]["range"]
    assert drawn["timeline-before"]["layout"]["xaxis"]["range"][1] == pytest.approx(
        183, abs=3
    )


def test_the_step_shrinks_by_the_difference(both: str) -> None:
    """The stages' table ends in both steps and their difference; bars scale."""
    total = re.search(r"<tfoot>(.*?)</tfoot>", both, re.DOTALL)
    cells = re.findall(r">([^<>]+)</t[hd]>", total[1])
    before, after, change = (float(cells[at]) for at in (1, 3, 5))
    assert change == pytest.approx(after - before, abs=0.11)
    widths = re.findall(r"width:calc\(100% \* ([\d.]+)\)", both)
    assert float(widths[0]) == 1
    assert float(widths[1]) == pytest.approx(after / before, abs=0.001)


def test_hostile_text_stays_text_on_the_page() -> None:
    """Markup in strategies, reasons, code and environment adds no element."""
    whole = comparisons.hostile()
    html = pair.render(
        whole, comparisons.shown(whole, examples.hostile(), examples.hostile())
    )
    assert html.count("<script") == 3
    assert "<img" not in html.partition('<script type="application/json"')[0]
    assert "{{ 7 * 7 }}" in html


def test_without_a_winner_the_plain_recording_is_alone() -> None:
    """One side, no difference, no code to keep."""
    whole = comparisons.nothing()
    html = pair.render(whole, comparisons.shown(whole, examples.healthy()))
    assert 'class="sides two"' not in html
    assert 'id="keep"' not in html
    drawn = data_of(html)
    assert {"change", "causes-before", "timeline-before", "steps-before"} <= set(drawn)
    assert not {"waterfall", "flame-change"} & set(drawn)
    assert "needs two recordings with a training loop" in section(html, "change")
    bare = pair.render(whole, evidence.Evidence())
    assert 'id="change"' not in bare
    assert 'id="trials-table"' in bare


def test_recordings_without_steps_or_causes_say_so() -> None:
    """Each side has its figure or the reason why there is none."""
    whole = comparisons.faster()
    shown = comparisons.shown(whole, examples.no_steps(), examples.killed())
    html = pair.render(whole, shown)
    assert html.count(pair.NO_LOOP) == 3
    assert "Causes were not measured in this run." in section(html, "matrix")
    assert "Causes were not measured in these runs." in section(html, "change")
    assert "the run was too short. To have it: let it run for 20 s." in html
    drawn = data_of(html)
    assert {"steps-after", "timeline-after"} <= set(drawn)
    assert not {"steps-before", "timeline-before", "change", "waterfall"} & set(drawn)


def section(html: str, id: str) -> str:
    """The text of one section, its tags taken out."""
    found = re.search(rf'<section id="{id}">(.*?)</section>', html, re.DOTALL)
    bare = re.sub(r"<[^>]+>", " ", found[1])
    return " ".join(bare.replace("&#39;", "'").replace("&#34;", '"').split())


ORDER = [
    *("trials", "keep", "change", "measured", "timeline", "losses", "findings"),
    *("matrix", "run", "flame", "cost", "environment", "reading"),
]


def test_the_verdict_comes_first_and_details_last(both: str) -> None:
    """Verdict, evidence, detail; the contents name every section in that order."""
    assert re.findall(r'<section id="([^"]*)"', both) == ORDER
    contents = both.partition("<nav")[2].partition("</nav>")[0]
    assert re.findall(r'href="#([^"]*)"', contents) == ["verdict", *ORDER]
    copied = re.findall(r'data-copies="([^"]*)"', both)
    assert [f'<pre id="{id}" tabindex="0"' in both for id in copied] == [True, True]


def test_heavy_details_are_folded(both: str) -> None:
    """Heat maps, steps and flame graphs lie in folds that are closed."""
    for id in ("matrix", "run", "flame"):
        part = both.partition(f'<section id="{id}">')[2].partition("</section>")[0]
        fold = part.partition('<details class="fold">')[2]
        assert part.count('class="figure"') == fold.count('class="figure"') > 0
    assert '<details class="fold" open' not in both


def test_every_figure_says_how_to_read_it(both: str) -> None:
    """A caption beneath each, and a label for who cannot see it."""
    figures = re.findall(r'<figure>\s*<div class="figure".*?</figure>', both, re.DOTALL)
    assert len(figures) == both.count('class="figure"') == 15
    for one in figures:
        caption = re.search(r"<figcaption>(.+?)</figcaption>", one, re.DOTALL)
        assert len(caption[1]) > 20
        assert re.search(r'aria-label="[^"]{10,}"', one)


def head(html: str) -> dict[str, str]:
    """Question -> answer."""
    part = html.partition('<dl class="verdict">')[2].partition("</dl>")[0]
    pairs = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", part, re.DOTALL)
    return {name: re.sub(r"<[^>]+>", "", text) for name, text in pairs}


def test_the_head_answers_five_questions(both: str) -> None:
    """What it was, what was done, the gain, the numbers, and how sure it is."""
    found = head(both)
    asked = ["WHAT", "DONE", "GAIN", "NUMBERS", "TRUST"]
    assert list(found) == [getattr(answers, name) for name in asked]
    assert found[answers.WHAT].startswith("The loop waits for data from the network")
    assert "Prefetch with 4 threads, 8 ahead." in found[answers.DONE]
    assert "85.9 ms instead of 185.5 ms" in found[answers.GAIN]
    assert "between 2.09x and 2.22x faster" in found[answers.GAIN]
    assert "bit for bit" in found[answers.NUMBERS]
    assert "5 rounds of 60 steps" in found[answers.TRUST]
    assert "2.11x (1.94 to 2.29) was predicted" in found[answers.TRUST]


def test_equal_numbers_are_answered_as_such() -> None:
    """Within the tolerance is said, and not called bit for bit."""
    equal = with_first(comparisons.faster(), numbers="equal")
    found = head(pair.render(equal, evidence.Evidence()))
    assert "within rounding" in found[answers.NUMBERS]


def test_the_head_without_a_winner_says_what_was_tried() -> None:
    """Nothing was done and nothing gained, so neither is answered."""
    found = head(pair.render(comparisons.nothing(), evidence.Evidence()))
    assert list(found) == [answers.WHAT, answers.TRIED, answers.TRUST]
    assert found[answers.TRIED] == "Prefetch with 2 threads; parallel update."
    none = replace(comparisons.nothing(), trials=(), rounds=0)
    assert head(pair.render(none, evidence.Evidence()))[answers.TRUST] == (
        "No strategy came to be measured."
    )


def test_what_was_not_tried_is_told_apart() -> None:
    """Below what was tried, with the reason; alone where nothing was."""
    some = replace(comparisons.predicted(), trials=comparisons.predicted().trials[1:])
    found = head(pair.render(replace(some, best=""), evidence.Evidence()))
    assert found[answers.TRIED] == (
        "Parallel update with 2 threads. Not tried, as no gain is predicted: prefetch "
        "in 2 processes; parallel forward."
    )
    found = head(pair.render(comparisons.skipped(), evidence.Evidence()))
    assert found[answers.TRIED].startswith("Nothing. Not tried, as no gain")
    assert found[answers.TRUST] == "No strategy came to be measured."


def test_differences_that_matter_are_warned_of(both: str) -> None:
    """Near the head those that can change the times, all of them in a table."""
    warnings = re.findall(r'<p class="warning">(.*?)</p>', both)
    assert warnings[0] == "The recordings differ in cores: 8 before, 4 after."
    assert not any("memory" in one for one in warnings)
    table = section(both, "environment")
    assert "cores 8 4 yes" in table
    assert "memory (GiB) 31 64 no" in table


def test_predictions_stand_beside_what_was_measured(both: str) -> None:
    """Both intervals and errors, of speed-up and step, and whether it came inside."""
    text = section(both, "measured").replace("\N{EN DASH}", "-")
    ratios = "2.11x (1.94-2.29) 2.16x (2.09-2.22) -2.3 %"
    steps = "87.9 (81.0-95.6) 85.9 +2.4 % yes limited by the rest of the step"
    assert f"{ratios} {steps}" in text
    assert "hollow diamond" in text
    wrong = with_first(
        comparisons.faster(), predicted=comparisons.guess((3.0, 2.7, 3.3))
    )
    text = section(pair.render(wrong, evidence.Evidence()), "measured")
    assert "+39 %" in text
    assert text.partition("-28 % ")[2].startswith("no -")
    none = with_first(comparisons.faster(), predicted=None)
    html = pair.render(none, evidence.Evidence())
    assert "Predicted and measured" not in html


def test_losses_are_shown_or_missed(both: str) -> None:
    """The largest difference in words; without losses, how to have them."""
    assert "in all 30 steps" in section(both, "losses")
    html = pair.render(comparisons.faster(), evidence.Evidence())
    assert "--stage loss=MODULE:FUNCTION" in section(html, "losses")


def test_findings_show_the_users_own_lines(both: str) -> None:
    """The hot line is marked in words too; a place without source is named."""
    found = section(both, "findings")
    assert "71 % \N{BLACK RIGHT-POINTING TRIANGLE} this line: 41 rows = read" in found
    assert 'class="line hot"' in both
    assert "update train.py:88" in found
    whole = comparisons.faster()
    bare = pair.render(whole, comparisons.shown(whole, examples.input_bound()))
    assert "places are only named" in section(bare, "findings")


def test_saved_recordings_share_the_page() -> None:
    """Names instead of strategies, no code to keep, and what nobody checked."""
    whole = comparisons.recorded()
    shown = comparisons.shown(whole, examples.input_bound(), comparisons.after())
    html = pair.render(whole, shown)
    found = head(html)
    assert found["What it became"].startswith("with-threads: The loop computes")
    assert found[answers.NUMBERS].startswith("Not checked: these are saved recordings")
    assert "each was run once" in found[answers.TRUST]
    assert 'id="keep"' not in html
    assert 'id="losses"' not in html
    assert "recording verdict numbers speed-up" in section(html, "trials")
    assert "memory, MB" not in section(html, "trials")
    assert "slow-run - -" in section(html, "trials")
    assert "plain script" not in section(html, "trials")


def test_timelines_show_the_same_span_of_time() -> None:
    """One step of the slower, and all that the faster did as long, marked."""
    found = comparisons.shown(
        comparisons.faster(), examples.input_bound(), comparisons.after()
    ).found
    windows = sides.windows(found)
    spans = [window.milliseconds for window in windows.values()]
    assert spans[0] == spans[1] > 180
    before, after = (
        sides.span_in_words(side.analysis, windows[side.id]) for side in found
    )
    assert before.startswith("step ")
    assert after.startswith("3 steps from step ")
    figure = sides.strips(found, "after")
    assert len(figure.layout.shapes) == 2
    longest = max(float(max(b.base + b.x)) for b in figure.data if len(b.x))
    assert longest == pytest.approx(spans[1], abs=0.01)
    turned = (found[1], found[0])
    assert sides.windows(turned) == windows


def test_a_timeline_stays_within_quiet_steps() -> None:
    """No time is shown in which instruments worked; without such, one typical step."""
    shown = comparisons.shown(
        comparisons.faster(), examples.input_bound(), comparisons.after()
    )
    before, after = shown.found
    steps = after.analysis.steps
    loud = steps.assign(block=["quiet" if n % 2 else "stacks" for n in steps.step])
    mixed = replace(after, analysis=replace(after.analysis, steps=loud))
    window = sides.windows([before, mixed])["after"]
    assert window.milliseconds < 100
    half = steps.assign(block=["quiet" if n > 100 else "stacks" for n in steps.step])
    later = replace(after, analysis=replace(after.analysis, steps=half))
    window = sides.windows([before, later])["after"]
    assert window.step > 100
    assert window.milliseconds > 180


def test_recordings_are_read_from_the_folder(tmp_path: Path) -> None:
    """What was saved is analysed and shown; what cannot be read is named."""
    examples.input_bound().recording.save(tmp_path / "baseline")
    whole = replace(
        comparisons.faster(), before=tmp_path / "baseline", after=tmp_path / "gone"
    )
    shown = evidence.read(whole)
    assert [side.id for side in shown.sides] == ["before"]
    (gap,) = shown.gaps
    assert gap.startswith("Prefetch with 4 threads, 8 ahead cannot be shown:")
    assert "cannot be shown" in render_comparison(whole, "html")


def test_an_unknown_format_names_the_known_ones() -> None:
    """The message lists what could have been meant."""
    with pytest.raises(UsageError, match="text, json, html"):
        render_comparison(comparisons.faster(), "pdf")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved comparison."""
    save(comparisons.faster(), (), tmp_path)
    return tmp_path


def test_report_opens_a_comparison(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`bottleneck report` prints the table, the document, or writes the page."""
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == comparison.render(comparisons.faster())
    assert main(["report", str(folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"] == "prefetch:workers=4,depth=8"
    assert main(["report", str(folder), "--format", "html"]) == 0
    assert "Wrote" in capsys.readouterr().err
    assert "2.16x faster" in (folder / "report.html").read_text()
