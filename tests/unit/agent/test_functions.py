"""Windows of yappi: what is not taken for a profiler of the script's own."""

from __future__ import annotations

import sys
from typing import Any, cast

import pytest

from debottleneck.agent.functions import Windows
from debottleneck.agent.opened import CallWatch
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.recording import spool
from debottleneck.strategies.rewriting.tracing import Tracing


class Writer:
    """Keeps the events that it is given."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def write_event(self, event: dict[str, Any]) -> None:
        """One more."""
        self.events.append(event)


OURS = [lambda: CallWatch(lambda _: False)._see, lambda: Tracing()._event]


@pytest.mark.parametrize("ours", [*OURS, None])
def test_only_the_script_s_own_profiler_is_blamed(ours: Any) -> None:
    """A window that meets a look of our own at calls is left out without a word."""
    writer = Writer()
    windows = Windows(cast(SpoolWriter, writer))
    before = sys.getprofile()
    sys.setprofile(ours() if ours else lambda *_: None)
    try:
        windows.attend(spool.FUNCTIONS_WALL)
    finally:
        sys.setprofile(before)
    reasons = [event["why"] for event in writer.events]
    assert reasons == ([] if ours else [PROFILER])


PROFILER = "the script uses a profile function of its own"
