"""Values of JSON against annotations: fitted, or refused in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest

from debottleneck.recording import checked
from debottleneck.recording.checked import Between, Like, OneOf, Unfit


class Extras(TypedDict, total=False):
    """What is read again of a free mapping."""

    cores: Annotated[int, Between(1, 8)]


@dataclass(frozen=True)
class Part:
    """Something within."""

    name: str


@dataclass(frozen=True)
class Whole:
    """Every kind of annotation that facts have."""

    words: tuple[str, ...]
    count: Annotated[int, Between(0)] = 0
    share: float | None = None
    colour: Annotated[str, OneOf(("red", "blue"))] = "red"
    parts: tuple[Part, ...] = ()
    extras: Annotated[Mapping[str, Any], Like(Extras)] = field(default_factory=dict)
    settings: Mapping[str, int | str] = field(default_factory=dict)
    place: Path | None = None


def test_what_fits_is_made() -> None:
    """Lists become tuples, objects dataclasses, names paths; what is free stays."""
    raw = {
        "words": ["a"],
        "share": 1,
        "parts": [{"name": "x"}],
        "extras": {"cores": 2, "other": [{"deep": None}]},
        "settings": {"workers": 2, "where": "thread"},
        "place": "best",
    }
    made = checked.read(Whole, json.loads(json.dumps(raw)))
    rest = {"extras": raw["extras"], "settings": raw["settings"], "share": 1}
    assert made == Whole(("a",), parts=(Part("x"),), place=Path("best"), **rest)


@pytest.mark.parametrize(
    "raw",
    [
        [],
        None,
        {},
        {"words": "a"},
        {"words": [1]},
        {"words": [], "count": -1},
        {"words": [], "count": True},
        {"words": [], "count": 1.0},
        {"words": [], "count": 2**63},
        {"words": [], "share": "1"},
        {"words": [], "share": 1e300},
        {"words": [], "share": 2**64},
        {"words": [], "colour": "green"},
        {"words": [], "colour": None},
        {"words": [], "parts": [{}]},
        {"words": [], "parts": {"name": "x"}},
        {"words": [], "extras": {"cores": 9}},
        {"words": [], "extras": {"cores": "2"}},
        {"words": [], "extras": {"x": 10**400}},
        {"words": [], "settings": {"workers": 1.5}},
        {"words": [], "settings": {"workers": [1]}},
        *({"words": [], "place": place} for place in ("", "..", "/x", "a/b", ".", 3)),
    ],
)
def test_what_does_not_fit_is_refused(raw: object) -> None:
    """Another kind, out of range, no such word, a way out of the folder."""
    with pytest.raises(Unfit) as caught:
        checked.read(Whole, raw)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


def test_lone_surrogates_become_question_marks() -> None:
    """A name that was no UTF-8 can be written anywhere."""
    assert checked.fit(Any, {"\udcff": ["a\ud800", "é"]}) == {"?": ["a?", "é"]}


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        '{"a": -Infinity}',
        "[" * 100_000,
        '{"a":' * 50_000,
        "1" * 5000,
        "{",
        "",
        b"\xff",
        b" " * (checked.MOST_JSON_BYTES + 1),
    ],
)
def test_json_that_is_none_is_refused(text: str | bytes) -> None:
    """No number, too deep, too long, cut off, no text."""
    with pytest.raises(Unfit):
        checked.fit(Any, checked.parse(text))


def test_nesting_has_an_end() -> None:
    """Even where a parser would take it."""
    value: Any = None
    for _ in range(checked.DEEPEST + 2):
        value = [value]
    with pytest.raises(Unfit, match="deep"):
        checked.fit(Any, value)


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_only_regular_files_are_opened(tmp_path: Path, kind: str) -> None:
    """A pipe would wait for a writer, a device never end."""
    file = tmp_path / "file"
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    else:
        file.symlink_to("/dev/zero")
    with pytest.raises(Unfit, match="regular"):
        checked.document(file)
