"""How numbers and names are written."""

from __future__ import annotations

import math
from dataclasses import replace

import examples
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debottleneck.report.words import quantities


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (0.01234, "0.0123"),
        (1.234, "1.23"),
        (123.4, "123"),
        (12345.6, "12,346"),
        (math.nan, "-"),
        (None, "-"),
    ],
)
def test_numbers_keep_about_three_figures(value: float | None, text: str) -> None:
    """Small numbers get more decimals, missing ones a dash."""
    assert quantities.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0.0 %"), (0.0001, "<0.1 %"), (0.5, "50.0 %"), (1.0, "100.0 %")],
)
def test_shares_are_per_cent(share: float, text: str) -> None:
    """A share that is there but tiny is not printed as zero."""
    assert quantities.percent(share) == text


@given(st.text())
def test_clean_names_are_printable(text: str) -> None:
    """Whatever the name, what is left can be printed, on one line, as UTF-8."""
    shown = quantities.clean(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    shown.encode("utf-8")


@given(st.text(), st.integers(5, 40))
def test_cut_names_fit(text: str, width: int) -> None:
    """A cut name is never longer than its place."""
    assert len(quantities.cut(text, width)) <= width


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("/home/ada/run/train.py", "train.py"),
        ("/home/ada/run/a/b.py", "a/b.py"),
        ("/x/lib/python3.11/site-packages/torch/nn.py", "torch/nn.py"),
        ("/usr/lib/python3.11/threading.py", "threading.py"),
        ("/elsewhere/x.py", "/elsewhere/x.py"),
        ("<string>", "<string>"),
    ],
)
def test_paths_are_shown_as_the_reader_knows_them(file: str, shown: str) -> None:
    """Below the run's folder, below the library, or whole."""
    assert quantities.short(file, "/home/ada/run") == shown


def test_a_script_from_elsewhere_is_home_to_its_paths() -> None:
    """A script outside the working directory: paths are shown below its folder."""
    facts = examples.healthy().recording.facts
    assert quantities.home(facts) == examples.HOME
    assert quantities.home(replace(facts, directory="/tmp")) == examples.HOME
    assert quantities.home(replace(facts, script="pkg.mod")) == examples.HOME
