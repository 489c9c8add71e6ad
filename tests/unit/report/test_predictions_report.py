"""What strategies should gain, as text, JSON, figure and page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import examples
import made_predictions as made
import pytest

from debottleneck.analysis.result import Predictions
from debottleneck.recording.recording import Recording
from debottleneck.report import render
from debottleneck.report.machine import predictions as machine
from debottleneck.report.text import predictions as text
from debottleneck.report.words import predictions as words

ALL = {
    "waiting": made.WAITING,
    "nothing": made.NOTHING,
    "none": replace(made.NOTHING, rows=(), settings=()),
    "evil": made.hostile(examples.EVIL),
}


DOCUMENTED = Path(__file__).parents[3].joinpath("docs", "json.md").read_text()


def recording(path: Path | None = None) -> Recording:
    """That of the example, as it would be in a folder."""
    return replace(examples.predicted().recording, path=path)


def page(found: Predictions) -> str:
    """The page of the example's run with these predictions."""
    return str(render(replace(examples.predicted(), predictions=found), "html"))


@pytest.mark.parametrize("name", list(ALL))
@pytest.mark.parametrize("width", [60, 80, 120])
def test_lines_fit_the_terminal(name: str, width: int) -> None:
    """All but commands, which must be copied in one piece."""
    lines = text.render(ALL[name], recording(), width=width).splitlines()
    wide = [line for line in lines if len(line) > width]
    assert all(line.startswith("Try first") for line in wide)


@pytest.mark.parametrize("name", ["nothing", "none"])
def test_where_nothing_is_worth_a_trial_it_is_said(name: str) -> None:
    """In one sentence, with no command that tries one."""
    for said in (
        text.render(ALL[name], recording(), width=200),
        page(ALL[name]),
        render(replace(examples.predicted(), predictions=ALL[name]), "text"),
    ):
        assert "No strategy is predicted to gain 1.05x or more." in said
        assert "Try first" not in said


def test_a_gain_of_what_would_not_act_is_not_denied() -> None:
    """The table shows it, so the sentence speaks of those that would act."""
    (row, *_) = made.WAITING.rows
    idle = replace(row, why_not="nothing is loaded", edit="load", worth=False)
    shown = replace(made.WAITING, rows=(idle,))
    assert words.outcome(shown) == words.NONE_ACTS
    assert words.outcome(replace(shown, rows=())) == words.NONE
    report = replace(examples.predicted(), predictions=shown)
    for said in (render(report, "text"), render(report, "html")):
        assert words.NONE_ACTS in " ".join(said.split())


def test_a_gain_just_below_does_not_read_as_if_it_were_enough() -> None:
    """It is 1.046x and not 1.05x."""
    assert words.speedup(made.NOTHING.rows[0]) == "1.046x"


def test_a_bad_replay_and_an_unknown_machine_are_said() -> None:
    """Both qualify the numbers; of a good replay nothing is said."""
    replay, assumed = words.notes(made.NOTHING)
    said = "Do not rely on these predictions: the simulated plain loop takes 66 %"
    assert replay.startswith(said)
    assert "prices of an ordinary machine were assumed" in assumed
    assert words.notes(made.WAITING) == []
    (also,) = words.notes(replace(made.WAITING, untold=("gc:off",)))
    assert "`bottleneck compare` also tries" in also
    rows = tuple(replace(row, worth=False) for row in made.WAITING.rows)
    doubted = replace(made.WAITING, rows=rows, doubt="no core is free")
    assert words.outcome(doubted) == "No strategy is recommended."


def test_what_would_not_act_says_why() -> None:
    """Not what would limit it if it did; an edit may be worth it."""
    assert words.worth(made.FORWARD) == "edit"
    said = text.render(made.WAITING, recording(), width=200)
    assert f"would not act: {made.SHARED}" in said
    assert made.SLOWER in said


def test_commands_can_be_copied(tmp_path: Path) -> None:
    """An argument that was left out stays readable."""
    folder = tmp_path / "a run"
    (tried,) = words.next_lines(made.WAITING, recording(folder))
    assert tried.endswith("--strategy prefetch:workers=4 train.py --epochs 3")
    facts = replace(recording().facts, command=("train.py", "(arguments left out)"))
    (tried,) = words.next_lines(made.WAITING, replace(recording(), facts=facts))
    assert tried.endswith("train.py (arguments left out)")


def test_a_report_without_predictions_has_none() -> None:
    """No heading, no section; null in JSON."""
    plain = examples.input_bound()
    assert "Predict" not in str(render(plain, "text"))
    assert 'id="predictions"' not in str(render(plain, "html"))
    assert json.loads(render(plain, "json"))["predictions"] is None


@pytest.mark.parametrize("name", list(ALL))
def test_the_document_keeps_its_schema(name: str) -> None:
    """Every key is documented, every row complete, and numbers that lack are null."""
    found = replace(ALL[name], replayed=float("nan"))
    whole = json.loads(machine.render(found, recording()), parse_constant=pytest.fail)
    told = DOCUMENTED
    assert whole["schema"] == machine.SCHEMA
    assert whole["recording"] is None
    assert whole["replayed"] is None
    rows = [whole["plain"], *whole["rows"], *(r for s in whole["settings"] for r in s)]
    for key in {*whole, *(key for row in rows for key in row)}:
        assert f"`{key}`" in told
    assert len({frozenset(row) for row in rows}) == 1


def test_a_run_s_document_holds_the_same() -> None:
    """Under one key."""
    whole = json.loads(render(examples.predicted(), "json"))
    assert whole["predictions"]["rows"][0]["spec"] == "prefetch:workers=4"
    assert set(whole["predictions"]) == set(machine.document(made.WAITING))


@pytest.mark.parametrize("settings", [(), ((made.UPDATE,),), ((made.row("pie", 2),),)])
def test_one_setting_has_no_table_of_its_own(settings: tuple[Any, ...]) -> None:
    """Then the table of strategies has it."""
    html = page(replace(made.WAITING, settings=settings))
    assert 'id="settings-table"' not in html


def test_the_page_has_every_setting() -> None:
    """With its interval, where a strategy has several."""
    html = page(made.WAITING)
    table = html.partition('id="settings-table"')[2].partition("</table>")[0]
    cells = [
        re.sub("<[^>]*>", "", cell) for cell in re.findall("<t[dh].*?</t[dh]>", table)
    ]
    assert cells[cells.index("prefetch:workers=1") + 1].startswith("1.42x (")
    assert cells[cells.index("prefetch:workers=8") + 1].startswith("2.17x (")
    assert "parallel-update:workers=2" not in cells


@pytest.mark.parametrize("evil", examples.HOSTILE)
def test_names_never_become_markup(evil: str) -> None:
    """In tables, commands, figures and titles, of the page and of a run's."""
    found = made.hostile(evil)
    whole = render(examples.hostile(evil), "html")
    for html in (page(found), str(whole)):
        assert "<img" not in html
        assert "<svg onload" not in html
        assert "<script>window.pwned" not in html
        assert 'href="javascript' not in html
        assert "\x1b" not in html


def test_control_characters_do_not_reach_the_terminal() -> None:
    """Neither of a strategy nor of a reason."""
    said = text.render(made.hostile("\x1b[2J\x07"), recording())
    assert said.replace("\n", "").isprintable()
