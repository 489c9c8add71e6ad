"""The machine's prices: measured once, kept, and read back."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from debottleneck.collect import prices as measure
from debottleneck.errors import BottleneckError
from debottleneck.recording.machine import Machine


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_it_is_measured_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time nothing runs; the date says when it was, each price can be."""
    assert measure.kept(sys.executable) is None
    lines: list[str] = []
    measure.ensure(sys.executable, lines.append)
    first = measure.kept(sys.executable)
    assert first is not None
    assert first.measured
    assert len(lines) == 1
    for each in dataclasses.fields(Machine):
        value = getattr(first, each.name)
        assert not isinstance(value, float) or 0 <= value < 1e9, each.name
    for name in ("slow_python", "slow_compute", "slow_memory"):
        assert getattr(first, name) >= 1
    for name in ("wake_ns", "signal_ns", "call_ns", "message_ns"):
        assert getattr(first, name) > 0
    monkeypatch.setattr(measure, "measure", None)
    measure.ensure(sys.executable, lines.append)
    assert measure.kept(sys.executable) == first
    assert len(lines) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"wake_ns": [1]}'])
def test_a_damaged_file_is_measured_again(text: str) -> None:
    """Nothing is believed of it; numbers of a later version are left out."""
    path = measure.file(sys.executable)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert measure.kept(sys.executable) is None
    path.write_text(json.dumps({"wake_ns": 3.0, "newer": 1}))
    found = measure.kept(sys.executable)
    assert found is not None
    assert found.wake_ns == 3.0


def test_an_interpreter_that_cannot_be_asked_is_no_reason_to_stop() -> None:
    """Prices of an ordinary machine are assumed, and a sentence says so."""
    with pytest.raises(BottleneckError, match="cannot be run"):
        measure.measure("/no/such/python")
    lines: list[str] = []
    measure.ensure("/no/such/python", lines.append)
    assert measure.kept("/no/such/python") is None
    assert "ordinary machine" in lines[-1]
    with pytest.raises(BottleneckError, match="could not be measured"):
        measure.measure("/bin/true")


def test_interpreters_have_files_of_their_own() -> None:
    """Another Python may have another GIL."""
    assert measure.file("/one/python") != measure.file("/other/python")


def test_a_machine_survives_json() -> None:
    """What a recording holds is what was measured."""
    machine = Machine(cores=3, slow_memory=1.7, measured="2026-11-01T00:00:00+00:00")
    assert Machine.of(json.loads(json.dumps(machine.as_dict()))) == machine
