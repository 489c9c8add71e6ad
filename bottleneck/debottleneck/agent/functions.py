"""yappi windows: calls, wall and CPU time of each thread's functions.

Started and stopped at a step's boundary by the trainer, one clock a window. What a
window saw is added up in memory and written as JSON lines, one a window.
"""

from __future__ import annotations

import sys
import threading
from time import monotonic_ns
from typing import Any

from debottleneck.agent.handlers import of_a_handler
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.recording import spool

MOST_FUNCTIONS = 400
"""Kept of each thread and window, by total time."""


def unavailable() -> str:
    """Why yappi cannot run in this interpreter, or ""."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return "importing yappi would switch the GIL on in this free-threaded build"
    try:
        import yappi  # noqa: F401 - only whether it is there
    except ImportError as error:
        return f"yappi is not installed for the script's Python ({error})"
    except Exception as error:  # noqa: BLE001 - a broken library is none to use
        return f"yappi cannot be used ({type(error).__name__}: {error})"
    return ""


class Windows:
    """Follows the tool's wishes: a window of one clock, or none."""

    def __init__(self, writer: SpoolWriter) -> None:
        self._writer = writer
        self._clock = ""
        self._since = 0
        self._is_broken = False

    def attend(self, mode: int) -> None:
        """Called by the trainer between two stages when the mode has changed."""
        wanted = {spool.FUNCTIONS_WALL: "wall", spool.FUNCTIONS_CPU: "cpu"}.get(mode)
        try:
            if self._clock:
                self._stop()
            if wanted and not self._is_broken:
                self._start(wanted)
        except Exception as error:  # the script is not to know of it
            if of_a_handler(error):
                raise
            self._is_broken = True
            reason = f"yappi failed ({type(error).__name__}: {error})"
            self._writer.write_event({"event": "functions-refused", "why": reason})

    def _start(self, clock: str) -> None:
        import yappi

        profile = sys.getprofile()
        owner = type(getattr(profile, "__self__", None)).__module__
        if owner.partition(".")[0] == __name__.partition(".")[0]:
            return  # a look of our own at what is called; the next window finds it over
        if profile is not None or yappi.is_running():
            reason = "the script uses a profile function of its own"
            self._writer.write_event({"event": "functions-refused", "why": reason})
            return
        self._since = monotonic_ns()
        self._clock = clock
        yappi.clear_stats()
        yappi.set_clock_type(clock)
        yappi.set_context_name_callback(lambda: threading.current_thread().name)
        yappi.start(builtins=False, profile_threads=True)

    def _stop(self) -> None:
        import yappi

        clock, self._clock = self._clock, ""
        yappi.stop()
        ended = monotonic_ns()
        rows = [row for thread in yappi.get_thread_stats() for row in _rows(thread)]
        yappi.clear_stats()
        yappi.set_context_name_callback(None)
        event = {"event": "functions", "clock": clock, "rows": rows}
        window = {"start_ns": self._since, "stop_ns": ended, "end_ns": monotonic_ns()}
        self._writer.write_event({**event, **window})


def _rows(thread: Any) -> list[list[Any]]:
    """Ident, thread, function, file, line, calls, self and total ns; biggest first."""
    import yappi

    stats = list(yappi.get_func_stats(filter={"ctx_id": thread.id}))
    stats.sort(key=lambda s: -s.ttot)
    ours = __file__.rsplit("/", 1)[0]
    lead = (thread.tid, thread.name)
    return [
        [*lead, s.name, s.module, s.lineno, s.ncall, _ns(s.tsub), _ns(s.ttot)]
        for s in stats[:MOST_FUNCTIONS]
        if not s.module.startswith(ours)
    ]


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
