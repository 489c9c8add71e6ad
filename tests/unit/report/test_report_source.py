"""Excerpts of the user's source: which lines, what they look like, what is hot."""

from __future__ import annotations

from dataclasses import replace

import comparisons
import examples
import pandas as pd
import pytest

from debottleneck.analysis.frames import typed
from debottleneck.analysis.result import Analysis, Finding, Where
from debottleneck.report import excerpts, render
from debottleneck.report.html import source

AT = Where("load_batch", examples.DATA, 41)


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    """The loop of `examples.input_bound` with lines 30 to 42 of its loader."""
    return comparisons.with_sources(examples.input_bound())


def test_lines_around_the_place_are_shown(analysis: Analysis) -> None:
    """Three before and after, those that exist; the place itself is hot."""
    shown = excerpts.excerpt(analysis, AT, "load")
    assert [line.number for line in shown.lines] == [38, 39, 40, 41, 42]
    assert [line.number for line in shown.lines if line.hot] == [41]
    assert shown.place == "load_batch data.py:41"
    assert shown.name == "data.py, lines 38 to 42"


def test_common_indentation_is_left_out(analysis: Analysis) -> None:
    """What all lines are indented by goes, the rest stays."""
    texts = [line.text for line in excerpts.excerpt(analysis, AT).lines]
    assert texts[1:4] == [
        "if index % 100 == 0:",
        "    check(connection)",
        "rows = read_rows(connection, BATCH)",
    ]


@pytest.mark.parametrize(
    ("line", "numbers"),
    [(37, [34, 35, 36, 37, 38, 39, 40]), (33, [30, 31, 32, 33, 34])],
)
def test_blank_lines_at_the_ends_are_left_out(
    analysis: Analysis, line: int, numbers: list[int]
) -> None:
    """An excerpt begins and ends with code; blank lines within it stay."""
    shown = excerpts.excerpt(analysis, replace(AT, line=line))
    assert [line.number for line in shown.lines] == numbers


def test_control_characters_and_tabs_are_made_harmless() -> None:
    """A tab is spaces; what could move a cursor is replaced."""
    code = "if a:\n\tb = '\x1b[2J'\n\tc = 1\n"
    tabbed = comparisons.with_sources(examples.input_bound(), code, first=40)
    texts = [line.text for line in excerpts.excerpt(tabbed, AT).lines]
    assert texts == ["if a:", "    b = '\N{REPLACEMENT CHARACTER}[2J'", "    c = 1"]


def test_shares_are_of_the_findings_stage(analysis: Analysis) -> None:
    """Threads of a role add up; other stages' samples do not count."""
    rows = [
        ("load", "trainer", "MainThread", 40, 0.1),
        ("load", "loader", "l-0", 41, 0.3),
        ("load", "loader", "l-1", 41, 0.25),
        ("load", "trainer", "MainThread", 41, 0.2),
        ("augment", "trainer", "MainThread", 39, 0.9),
    ]
    table = pd.DataFrame(rows, columns=["stage", "role", "thread", "line", "share"])
    table = typed("lines", table.assign(function="f", file=examples.DATA))
    known = replace(analysis, lines=table)
    shown = excerpts.excerpt(known, AT, "load")
    shares = {line.number: line.share for line in shown.lines}
    assert shares == {38: "", 39: "", 40: "10 %", 41: "55 %", 42: ""}
    other = excerpts.excerpt(known, AT)
    assert other.stage == "augment"
    assert [line.share for line in other.lines] == ["", "90 %", "", "", ""]
    bare = excerpts.excerpt(replace(analysis, lines=analysis.lines.head(0)), AT, "load")
    assert bare.stage == ""
    assert [line.number for line in bare.lines if line.hot] == [41]


@pytest.mark.parametrize(
    "where",
    [
        Where("f", examples.TRAIN, 41),
        Where("f", examples.DATA, 43),
        Where("f", "", 0),
    ],
)
def test_a_place_without_source_has_no_excerpt(
    analysis: Analysis, where: Where
) -> None:
    """Another file, a line beyond what was kept, no file at all."""
    assert excerpts.excerpt(analysis, where) is None


def finding(analysis: Analysis, *where: Where) -> Finding:
    """The first finding, at these places."""
    return replace(analysis.findings[0], where=where)


def test_a_line_is_shown_once(analysis: Analysis) -> None:
    """A place within an earlier excerpt is not repeated; one without is named."""
    near = Where("load_batch", examples.DATA, 39)
    far = Where("read_rows", examples.DATA, 33)
    away = Where("update", examples.TRAIN, 88)
    code = source.code_of(analysis, finding(analysis, AT, near, away, far))
    assert [one.place for one in code["excerpts"]] == [
        "load_batch data.py:41",
        "read_rows data.py:33",
    ]
    assert code["named"] == ["update train.py:88"]


def test_few_excerpts_are_shown_of_many_places() -> None:
    """Beyond the first ones places are only named."""
    long = comparisons.with_sources(examples.input_bound(), "x = 1\n" * 200, first=1)
    many = [Where("f", examples.DATA, line) for line in range(10, 200, 20)]
    code = source.code_of(long, finding(long, *many))
    assert len(code["excerpts"]) == source.MOST_EXCERPTS
    assert len(code["named"]) == len(many) - source.MOST_EXCERPTS


def test_the_page_of_a_run_shows_the_lines_too(analysis: Analysis) -> None:
    """Its findings carry the excerpt, with the hot line marked in words."""
    page = render(analysis, "html")
    assert "read_rows(connection, BATCH)" in page
    assert page.count('class="line hot"') == 1
    assert '<span class="heard">this line: </span>' in page
    assert ".source .hot" in page


def test_hostile_source_stays_text() -> None:
    """Markup in the user's own lines adds no element."""
    code = f"{examples.EVIL}\n" * 3
    evil = comparisons.with_sources(examples.input_bound(), code, first=40)
    page = render(evil, "html").partition("<script type=")[0]
    assert "<script" not in page
    assert page.count("&lt;script&gt;window.pwned") == 3


def test_a_place_opens_in_the_editor(analysis: Analysis) -> None:
    """Its excerpt links to the line; a path that is not known whole is no link."""
    page = render(analysis, "html")
    assert f'href="vscode://file{examples.DATA}:41"' in page
    table = analysis.recording.sources.assign(file=examples.DATA.lstrip("/"))
    moved = replace(analysis, recording=replace(analysis.recording, sources=table))
    place = replace(AT, file=examples.DATA.lstrip("/"))
    shown = excerpts.excerpt(moved, place)
    assert shown is not None
    assert shown.link == ""
