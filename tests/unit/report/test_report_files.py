"""Choosing a renderer and writing its text to a file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import comparisons
import examples
import made_exports
import pytest

from debottleneck import report
from debottleneck.errors import BottleneckError, UsageError
from debottleneck.trials.sides import Sides


@pytest.mark.parametrize("format", ["perfetto", "collapsed"])
def test_every_export_has_the_users_functions(format: str, tmp_path: Path) -> None:
    """Each name leads to content that is written to a file as it is."""
    analysis = made_exports.analysis()
    content = report.render(analysis, format)
    report.save(report.render(analysis, format), tmp_path / "out")
    whole = content if isinstance(content, bytes) else content.encode()
    assert (tmp_path / "out").read_bytes() == whole
    assert b"load" in whole


def test_the_page_of_a_comparison_shows_what_it_is_given() -> None:
    """Sides that were read already are not read again; the others need none."""
    given = Sides(gaps=("The moon is in the way.",))
    for format in report.COMPARISON_FORMATS:
        text = report.render_comparison(comparisons.faster(), format, given)
        assert ("The moon is in the way." in text) == (format == "html")


@pytest.mark.parametrize(
    "render",
    [
        lambda: report.render(examples.healthy(), "pdf"),
        lambda: report.render_comparison(comparisons.faster(), "pdf"),
    ],
)
def test_an_unknown_format_names_the_known_ones(render: Callable[[], object]) -> None:
    """The message lists what could have been meant."""
    with pytest.raises(UsageError, match="text, json, html"):
        render()


@pytest.mark.parametrize("name", ["report.json", "nowhere/report.txt"])
def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    """Where the file cannot be put, no part of it stays, and it is said what to do."""
    (tmp_path / "report.json").mkdir()
    (tmp_path / "report.json" / "kept").touch()
    with pytest.raises(BottleneckError, match=rf"{name} cannot be written.*--output"):
        report.save("text", tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert (tmp_path / "report.json" / "kept").exists()


def test_names_that_are_no_text_do_not_stop_the_page(tmp_path: Path) -> None:
    """File names with undecodable bytes (surrogates) are written as a mark."""
    report.save("a\udc80b", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "a?b"


def test_text_and_json_do_not_import_plotly(environment: dict[str, str]) -> None:
    """The renderers are imported lazily: only the page pays for plotly."""
    code = (
        "import sys, debottleneck.report.text.run, debottleneck.report.machine.run;"
        "sys.exit('plotly' in sys.modules or 'jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60)
    assert done.returncode == 0
