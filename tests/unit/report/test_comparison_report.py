"""The page of a comparison: what it promises, and what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import comparisons
import examples
import pytest
from comparisons import with_first

from debottleneck.commands import main
from debottleneck.recording.environment import Difference
from debottleneck.report import render_comparison
from debottleneck.report.figures import timeline
from debottleneck.report.html import answers
from debottleneck.report.html import comparison as pair
from debottleneck.report.text import comparison
from debottleneck.report.words.comparison import labels
from debottleneck.trials.save import save
from debottleneck.trials.sides import Sides, read

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
    figures: dict[str, Any] = json.loads(examples.packed_in(html, "data"))["figures"]
    return figures


def test_the_step_shrinks_by_the_difference(both: str) -> None:
    """The stages' table ends in both steps and their difference; bars are of trials."""
    total = re.search(r"<tfoot>(.*?)</tfoot>", both, re.DOTALL)
    cells = re.findall(r">([^<>]+)</t[hd]>", total[1])
    before, after, change = (float(cells[at]) for at in (1, 3, 5))
    assert change == pytest.approx(after - before, abs=0.11)
    widths = re.findall(r"width:calc\(100% \* ([\d.]+)\)", both)
    assert float(widths[0]) == 1
    trials = comparisons.faster()
    assert trials.baseline_ms is not None
    measured = trials.baseline_ms.value, trials.trials[0].step_ms
    assert float(widths[1]) == pytest.approx(measured[1] / measured[0], abs=0.001)
    said = re.findall(r'class="scale"><b>([\d.]+) ms</b>', both)
    assert [float(ms) for ms in said] == pytest.approx(measured, abs=0.05)


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
    assert {"change", "timeline-before"} <= set(drawn)
    bare = pair.render(whole, Sides())
    assert 'id="change"' not in bare
    assert "measured" not in re.findall(r'(?:href="#|<section id=")([^"]*)', bare)
    assert 'id="trials-table"' in bare


def test_recordings_without_steps_or_causes_say_so() -> None:
    """Each side has its figure or the reason why there is none."""
    whole = comparisons.faster()
    shown = comparisons.shown(whole, examples.no_steps(), examples.killed())
    html = pair.render(whole, shown)
    assert html.count(pair.NO_LOOP) == 1
    assert "Causes were not measured in these runs." in section(html, "change")
    assert "the run was too short. To have it: let it run for 20 s." in html
    drawn = data_of(html)
    assert "timeline-after" in drawn
    assert not {"timeline-before", "change"} & set(drawn)


def section(html: str, id: str) -> str:
    """The text of one section, its tags taken out."""
    found = re.search(rf'<section id="{id}">(.*?)</section>', html, re.DOTALL)
    bare = re.sub(r"<[^>]+>", " ", found[1])
    return " ".join(bare.replace("&#39;", "'").replace("&#34;", '"').split())


ORDER = [
    *("trials", "keep", "change", "measured", "timeline", "losses", "findings"),
    *("flame", "environment", "reading"),
]


def test_the_verdict_comes_first_and_details_last(both: str) -> None:
    """Verdict, evidence, detail; the contents name every section in that order."""
    assert re.findall(r'<section id="([^"]*)"', both) == ORDER
    contents = both.partition("<nav")[2].partition("</nav>")[0]
    assert re.findall(r'href="#([^"]*)"', contents) == ["verdict", *ORDER]
    copied = re.findall(r'data-copies="([^"]*)"', both)
    assert [f'<pre id="{id}" tabindex="0"' in both for id in copied] == [True, True]


def test_heavy_details_are_folded(both: str) -> None:
    """Flame graphs lie in folds that are closed."""
    part = both.partition('<section id="flame">')[2].partition("</section>")[0]
    fold = part.partition('<details class="fold">')[2]
    assert part.count('class="figure"') == fold.count('class="figure"') > 0
    assert '<details class="fold" open' not in both


def test_every_figure_says_how_to_read_it(both: str) -> None:
    """A caption beneath each, and a label for who cannot see it."""
    figures = re.findall(r'<figure>\s*<div class="figure".*?</figure>', both, re.DOTALL)
    assert len(figures) == both.count('class="figure"') == 7
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
    assert found[answers.WHAT].startswith("The loop waits for data from 10.0.0.7:9000")
    assert "Prefetch with 4 threads, 8 ahead." in found[answers.DONE]
    assert "85.9 ms instead of 185.5 ms" in found[answers.GAIN]
    assert "between 2.09x and 2.22x as fast" in found[answers.GAIN]
    assert "bit for bit" in found[answers.NUMBERS]
    assert "5 rounds of 60 steps" in found[answers.TRUST]
    assert "2.11x (1.94 to 2.29) was predicted" in found[answers.TRUST]


def test_equal_numbers_are_answered_as_such() -> None:
    """Within the tolerance is said, and not called bit for bit."""
    equal = with_first(comparisons.faster(), numbers="equal")
    found = head(pair.render(equal, Sides()))
    assert "within rounding" in found[answers.NUMBERS]


def test_the_head_without_a_winner_says_what_was_tried() -> None:
    """Nothing was done and nothing gained, so neither is answered."""
    found = head(pair.render(comparisons.nothing(), Sides()))
    assert list(found) == [answers.WHAT, answers.TRIED, answers.TRUST]
    assert found[answers.TRIED] == "Prefetch with 2 threads; parallel update."
    none = replace(comparisons.nothing(), trials=(), rounds=0)
    assert head(pair.render(none, Sides()))[answers.TRUST] == (
        "No strategy came to be measured."
    )


def test_what_was_not_tried_is_told_apart() -> None:
    """Below what was tried, with the reason; alone where nothing was."""
    some = replace(comparisons.predicted(), trials=comparisons.predicted().trials[1:])
    found = head(pair.render(replace(some, best=""), Sides()))
    assert found[answers.TRIED] == (
        "Parallel update with 2 threads. Not tried, as no gain is predicted: prefetch "
        "in 2 processes; parallel forward."
    )
    found = head(pair.render(comparisons.skipped(), Sides()))
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
    """With both intervals, and how far the step is off."""
    text = section(both, "trials").replace("\N{EN DASH}", "-")
    assert "2.16x (2.09-2.22) 2.11x (1.94-2.29) +2.4 % 85.9" in text
    wrong = with_first(
        comparisons.faster(), predicted=comparisons.guess((3.0, 2.7, 3.3))
    )
    text = section(pair.render(wrong, Sides()), "trials")
    assert "-28 %" in text


def test_losses_are_shown_or_missed(both: str) -> None:
    """The largest difference in words; without losses, how to have them."""
    assert "in all 30 steps" in section(both, "losses")
    html = pair.render(comparisons.faster(), Sides())
    assert "a list called losses" in section(html, "losses")


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
    assert "not run in turns" in found[answers.TRUST]
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
    windows = timeline.windows_of(found)
    spans = [window.milliseconds for window in windows.values()]
    assert spans[0] == spans[1] > 180
    before, after = (
        timeline.in_words(side.analysis, windows[side.id]) for side in found
    )
    assert before.startswith("step ")
    assert after.startswith("3 steps from step ")
    figure = timeline.of_side(found, "after")
    assert len(figure.layout.shapes) == 2
    longest = max(float(max(b.base + b.x)) for b in figure.data if len(b.x))
    assert longest == pytest.approx(spans[1], abs=0.01)
    turned = (found[1], found[0])
    assert timeline.windows_of(turned) == windows


def test_a_timeline_stays_within_quiet_steps() -> None:
    """No time is shown in which instruments worked; without such, one typical step."""
    shown = comparisons.shown(
        comparisons.faster(), examples.input_bound(), comparisons.after()
    )
    before, after = shown.found
    steps = after.analysis.steps
    loud = steps.assign(block=["quiet" if n % 2 else "stacks" for n in steps.step])
    mixed = replace(after, analysis=replace(after.analysis, steps=loud))
    window = timeline.windows_of([before, mixed])["after"]
    assert window.milliseconds < 100
    half = steps.assign(block=["quiet" if n > 100 else "stacks" for n in steps.step])
    later = replace(after, analysis=replace(after.analysis, steps=half))
    window = timeline.windows_of([before, later])["after"]
    assert window.step > 100
    assert window.milliseconds > 180


def test_recordings_are_read_from_the_folder(tmp_path: Path) -> None:
    """What was saved is analysed and shown; what cannot be read is named."""
    examples.input_bound().recording.save(tmp_path / "baseline")
    whole = replace(
        comparisons.faster(), before=tmp_path / "baseline", after=tmp_path / "gone"
    )
    shown = read(whole, labels(whole))
    assert [side.id for side in shown.sides] == ["before"]
    (gap,) = shown.gaps
    assert gap.startswith("Prefetch with 4 threads, 8 ahead cannot be shown:")
    assert "cannot be shown" in render_comparison(whole, "html")


def test_report_opens_a_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`bottleneck report` prints the table, the document, or writes the page."""
    save(comparisons.faster(), (), tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == comparison.render(comparisons.faster())
    assert main(["report", str(tmp_path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"] == "prefetch:workers=4,depth=8"
    assert main(["report", str(tmp_path), "--format", "html"]) == 0
    assert "Wrote" in capsys.readouterr().err
    assert "2.16x as fast" in (tmp_path / "report.html").read_text()


def test_what_was_not_timed_is_not_said_to_be(both: str) -> None:
    """Bars are of trials only where there were rounds."""
    idle = replace(comparisons.nothing(), rounds=0, trials=())
    page = pair.render(idle, comparisons.shown(idle, examples.healthy(), trials=False))
    assert ["as the trials measured" in html for html in (both, page)] == [True, False]
