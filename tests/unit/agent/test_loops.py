"""Loops compiled twice: what runs is what python would have run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest
from depth import cases
from hypothesis import HealthCheck, given, settings
from made_programs import outcome, programs

from debottleneck.agent import evidence, marks, opened, pace, turns
from debottleneck.agent.discover import compile_marked
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.recording import spool


@pytest.fixture(autouse=True)
def recording(tmp_path: Path) -> Iterator[None]:
    """Loops are followed and marked."""
    (tmp_path / spool.CONTROL_FILE).write_bytes(bytes(spool.CONTROL_BYTES))
    marks.start(SpoolWriter(tmp_path, lambda mode: None))
    evidence.start(None, opened.Opening(lambda path: False))
    yield
    evidence.stop()
    marks.finish()


WAYS = {
    "marked": {"TINY_NS": 0.0, "TINY_ENTRY_NS": 0.0, "COST": 1e12},
    "stretches": {
        "TINY_NS": 0.0,
        "TINY_ENTRY_NS": 0.0,
        "FIRST_LOOK": 1,
        "EACH_NS": 1e12,
        "LONGEST_STRETCH": 2,
    },
    "handed over": {"TINY_NS": 1e12, "FIRST_LOOK": 2},
}
"""How loops go on, and the constants that make them."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way."""
    for name, value in WAYS[request.param].items():
        monkeypatch.setattr(turns if hasattr(turns, name) else pace, name, value)
    return str(request.param)


def plain(source: str) -> CodeType:
    """As python compiles it."""
    return compile(source, "program.py", "exec", dont_inherit=True)


def prepared(source: str) -> CodeType:
    """With its loops prepared."""
    return compile_marked(source.encode(), "program.py", {}, by_name=False)


@settings(
    max_examples=cases(150), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(source=programs())
def test_programs_do_as_plain(way: str, source: str) -> None:
    """Notes, locals, results, errors and their lines and columns are plain python's."""
    code = prepared(source)
    assert code != plain(source) or "tick" not in source
    assert outcome(source, lambda _: code) == outcome(source, plain)
    assert not turns.runs()


CLOSED = """
import sys
closed = []
def items():
    try:
        yield from range(40)
    finally:
        closed.append(sys._getframe(1).f_code.co_name)
def left_at(last):
    for item in items():
        if abs(item) == last:
            break
    closed.append(last)
list(map(left_at, range(12)))
"""


@pytest.mark.usefixtures("way")
def test_a_loop_that_is_left_lets_its_items_go() -> None:
    """A generator that nobody else holds is closed there, in the user's own frame."""
    space: dict[str, list[object]] = {}
    exec(prepared(CLOSED), space)
    assert space["closed"] == [each for n in range(12) for each in ("left_at", n)]
