"""Rows that are lines of the user's code: their order, source, colours; the loop."""

from __future__ import annotations

import json
from dataclasses import replace

import examples
import pytest
from made_rows import LOOP, Script

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Candidate
from debottleneck.recording.recording import Recording
from debottleneck.report import redact, render, tables
from debottleneck.report.colours import LINE_COLOURS, STAGE_COLOURS
from debottleneck.report.machine import run as machine
from debottleneck.report.notebook import card
from debottleneck.report.rows import ShownRows
from debottleneck.report.text import run as terminal
from debottleneck.report.words.run import loop_lines

ORDER = [
    "train.py:24",
    "train.py:25",
    "train.py:26",
    "train.py:27",
    "net.py:12",
    "net.py:13-14",
    "forward",
    "update",
    "evaluate",
    "other",
]


def made() -> Recording:
    """Five steps: the loop's own line, a line, a stage within a function's line."""
    script = Script()
    for _ in range(5):
        script.turn()
        script.line(10, LOOP, 1, side="input")
        script.line(11, "out = net.run('a secret', x)", 0)
        opened = script.enter("Net.run", 50, 60)
        script.line(51, "h = f(x)", 6, within=opened)
        script.line(52, "h = g(h)", 0, within=opened)
        script.stage("forward", 2)
        script.leave(opened)
        script.run(1)
        script.line(12, "W -= out", 3, side="train")
    script.turn()
    script.left()
    return script.recording()


def test_rows_stand_as_steps_come_to_them() -> None:
    """Lines as in the code, a stage between them, those between steps at the end."""
    lined = examples.lined()
    assert list(ShownRows.of(lined).order[:10]) == [*ORDER[:8], "load", "augment"]
    found = analyse(made())
    seen = [row for row in found.row_names if row in set(found.stages["stage"])]
    lines = ["train.py:10", "train.py:11", "train.py:51", "forward", "train.py:12"]
    assert seen == lines


def test_small_rows_are_one_in_print_and_each_in_the_document() -> None:
    """Not the rest of the step, not what calls a large row; sums stay the same."""
    lined = examples.lined()
    table = tables.row_causes(lined, most=4)
    names = [row[0].text for row in table.rows]
    small = {"train.py:26", "net.py:13-14", "update"}
    shown = [row for row in ORDER if row not in small]
    assert names == [*shown[:-1], "(3 more under 1 % each)", "other"]
    total = lined.stages["ms_per_step"].sum()
    assert sum(float(row[1].sort) for row in table.rows) == pytest.approx(total)
    assert [
        row["stage"] for row in json.loads(machine.render(lined))["stages"]
    ] == ORDER
    page = render(lined, "html")
    assert all(f"{row}</span>" in page for row in ORDER)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_line_says_what_it_does(width: int) -> None:
    """Its source stands below it, indented as it is, and cut where it is too long."""
    lines = terminal.render(examples.lined(), width=width).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("train.py:25"))
    whole = f"  {examples.STACKED}"
    assert lines[at + 1] == (whole if width > 66 else f"{whole[: width - 3]}...")
    at = next(i for i, line in enumerate(lines) if line.startswith("  net.py:12"))
    assert lines[at + 1] == "    hidden = np.tanh(x @ self.w)"
    assert "hidden = np.tanh" in card(examples.lined())


def test_lines_have_colours_of_their_own() -> None:
    """The largest differ; a row has one colour wherever two recordings stand."""
    lined = examples.lined()
    rows = ShownRows.of(lined)
    largest = ["train.py:25", "net.py:12", "train.py:24"]
    assert [rows.colour(row) for row in largest] == list(LINE_COLOURS[:3])
    assert rows.colour("forward") == STAGE_COLOURS["forward"]
    other = replace(lined, rows=lined.rows.replace({"row": {"train.py:24": "a.py:1"}}))
    both = ShownRows.of(lined, other)
    assert both.order[-1] == "other"
    assert {"train.py:24", "a.py:1"} <= set(both.order)
    assert both.noun == "row"
    assert ShownRows.of(examples.healthy()).noun == "stage"


def test_rows_are_called_by_line_where_room_is_scarce() -> None:
    """Unless they lie in several files."""
    assert ShownRows.of(examples.lined()).short("train.py:25") == "train.py:25"
    rows = ShownRows.of(analyse(made()))
    assert (rows.short("train.py:51"), rows.short("forward")) == ("line 51", "forward")


def test_the_loop_is_said_with_why_and_the_others() -> None:
    """On the terminal, the page and in the document."""
    lined = examples.lined()
    rule, _, others = loop_lines(lined.loop)
    assert rule == (
        'A step is one iteration of "for x, y in loader" (train.py:24), 1,500 of them, '
        "chosen because it holds an optimizer's step."
    )
    assert '"while not done" (train.py:61), 1 iteration: `--step train.py:61`' in others
    page = render(lined, "html")
    assert "<code>--step train.py:12</code>" in page
    loop = json.loads(machine.render(lined))["loop"]
    assert (loop["line"], loop["count"]) == (24, 1500)
    assert loop["others"][0]["option"] == "--step train.py:12"
    many = replace(lined.loop, others=lined.loop.others * 3)
    assert "and 3 more, in the JSON" in loop_lines(many)[-1]


def test_without_steps_the_loops_are_named_ready_to_paste() -> None:
    """No template of an option where a loop was seen."""
    text = terminal.render(examples.no_steps())
    assert "`--step convert.py:9`" in " ".join(text.split())
    assert "--stage" not in text
    unseen = replace(examples.no_steps().loop, others=())
    assert "FILE:LINE" in loop_lines(unseen)[-1]
    assert loop_lines(replace(unseen, count=3))[-1] == "Profile for longer."


def test_source_is_left_out_of_a_copy_to_hand_on() -> None:
    """Headers and statements are source; files and lines stay."""
    copy = redact.recording(made())
    found = analyse(copy)
    assert set(found.rows["source"]) == {""}
    assert "train.py:51" in set(found.rows["row"])
    other = Candidate("", "/w/train.py", 9, 3, "--step train.py:9")
    found = replace(found, loop=replace(found.loop, others=(other,)))
    for format in ("text", "html", "json", "perfetto"):
        written = render(found, format)
        assert not {"secret", LOOP, "W -= out"} & {
            text for text in ("secret", LOOP, "W -= out") if text in str(written)
        }
    rule, _, others = loop_lines(found.loop)
    assert rule.startswith("A step is one iteration of the loop at train.py:10, 5 of")
    assert others == "Other loops: train.py:9, 3 iterations: `--step train.py:9`"
