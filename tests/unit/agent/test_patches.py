"""What is put in others' places comes out again, in the order in which it must."""

from __future__ import annotations

import pytest

from debottleneck.agent import patches


def test_everything_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Own attributes, inherited ones, static methods, one place put in twice."""
    monkeypatch.setattr(patches, "_undo", [])  # others may have put in something
    base = type("Base", (), {"call": staticmethod(len), "other": 1})
    derived, said = type("Derived", (base,), {}), []
    before = dict(vars(base)), dict(vars(derived))
    for number in (2, 3):
        patches.put(base, "call", number)
        patches.put(derived, "other", number)
    patches.undo_with(lambda: said.append(vars(base)["call"]))
    patches.take_back()
    assert said == [3]
    assert (dict(vars(base)), dict(vars(derived))) == before
    patches.take_back()
    assert said == [3]
