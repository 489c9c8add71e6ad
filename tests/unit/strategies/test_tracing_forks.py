"""Forks and signals of the process while an iteration is looked at: whose they are."""

from __future__ import annotations

import os

import pytest

import debottleneck
from debottleneck.strategies.rewriting import tracing

TOOL = os.path.dirname(debottleneck.__file__)


@pytest.mark.parametrize("event", ["os.fork", "os.kill"])
@pytest.mark.parametrize(("folder", "counts"), [(TOOL, False), ("/elsewhere", True)])
def test_what_the_tool_forks_is_none_of_the_scripts(
    event: str, folder: str, counts: bool
) -> None:
    """It makes processes for another loop, or waits for one of its own."""
    code = compile("heard(event, ())", os.path.join(folder, "made.py"), "exec")
    watch = tracing.Tracing()
    watch.start()
    try:
        exec(code, {"heard": tracing._audit, "event": event})
        assert watch.taken().forks is counts
    finally:
        watch.stop()
