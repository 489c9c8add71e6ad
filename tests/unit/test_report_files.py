"""Choosing a renderer and writing its text to a file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import examples
import pytest

from debottleneck import report
from debottleneck.errors import BottleneckError, UsageError


@pytest.mark.parametrize("format", list(report.FORMATS))
def test_every_format_renders(format: str) -> None:
    """Each name in the table leads to a text that ends its last line."""
    text = report.render(examples.healthy(), format)
    assert text.endswith("\n") or format == "html"
    assert "Nothing holds this loop up" in text


def test_an_unknown_format_names_the_known_ones() -> None:
    """The message lists what could have been meant."""
    with pytest.raises(UsageError, match="text, json, html"):
        report.render(examples.healthy(), "pdf")


def test_the_ending_chooses_the_format(tmp_path: Path) -> None:
    """A .json file gets JSON, anything unknown gets text."""
    report.write(examples.healthy(), tmp_path / "a.JSON")
    assert json.loads((tmp_path / "a.JSON").read_text())["schema"] == 1
    report.write(examples.healthy(), tmp_path / "a.log")
    assert (tmp_path / "a.log").read_text().startswith("What")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where the file cannot be put, no part of it stays."""
    target = tmp_path / "report.json"
    target.mkdir()
    (target / "kept").touch()
    with pytest.raises(BottleneckError, match="cannot be written"):
        report.save("text", target)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]
    assert (target / "kept").exists()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """The message has the path and what to do."""
    with pytest.raises(BottleneckError, match="--output"):
        report.save("text", tmp_path / "nowhere" / "report.txt")


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
