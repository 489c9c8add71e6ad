"""What strategies did and why not: lines the tool reads afterwards; in sentences."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from time import monotonic_ns

from debottleneck.recording import spool
from debottleneck.strategies.rewriting.plan import Plan

ENGAGED = "engaged"
"""It acts from now on; said once a place."""
REFUSED = "refused"
"""It does not apply here; the text says why."""
FAILED = "failed"
"""It went wrong; the script went on as it is written."""
SUMMARY = "summary"
"""What it did in all, with counts."""
KEEP = "keep"
"""Lines of code that make it permanent."""


class Notes:
    """Appends JSON lines: t_ns, strategy, state, text and counts.

    The same text of one strategy is written once.

    Args:
        path: The file, in a folder that exists; None to keep nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._said: set[tuple[str, str, str]] = set()

    def tell_of(self, strategy: str) -> bool:
        """Whether anything was noted of it."""
        return any(name == strategy for name, _, _ in self._said)

    def say(self, strategy: str, state: str, text: str, **more: object) -> None:
        """Note one thing.

        Args:
            strategy: A word of `spec.STRATEGIES`.
            state: `ENGAGED`, `REFUSED`, `FAILED` or `SUMMARY`.
            text: A sentence for the user, without a final period.
            more: Numbers that belong to it.
        """
        key = (strategy, state, text)
        with self._lock:
            if key in self._said or self._path is None:
                return
            self._said.add(key)
            line = {"t_ns": monotonic_ns(), "pid": os.getpid(), "strategy": strategy}
            said = {"state": state, "text": text, **more}
            try:
                with spool.lines_file(self._path) as file:
                    file.write(json.dumps({**line, **said}) + "\n")
            except OSError:  # the folder is gone: the script trains on
                self._path = None

    def keep(self, strategy: str, *lines: str) -> None:
        """Name lines of code that make permanent what it does, in place of the usual.

        Args:
            strategy: A word of `spec.STRATEGIES`.
            *lines: Python; comments alone are added to the usual lines.
        """
        self.say(strategy, KEEP, "\n".join(lines), lines=lines)

    # What becomes of loops.

    def planned(self, plan: Plan) -> None:
        """A loop's plan was made."""
        if plan.reason:
            text = f"the loop at {place(plan)} stays as it is: {plan.reason}"
            text += f"; {plan.reason.edit}" if plan.reason.edit else ""
            self.say(plan.strategy, REFUSED, text, plan=plan.as_json())
            return
        of = f"of the {'thread ' if plan.feeds else ''}loop at {place(plan)}"
        text = f"{places(plan.places)} {of} {ahead(plan)}"
        self.say(
            plan.strategy, ENGAGED, text, workers=plan.workers, plan=plan.as_json()
        )

    def side_by_side(self, plan: Plan) -> None:
        """The turns of a loop run at the same time."""
        text = f"the turns of the loop at {place(plan)} run in {plan.workers} threads"
        self.say(plan.strategy, ENGAGED, text, plan=plan.as_json())

    def undone(self, plan: Plan) -> None:
        """A loop is no longer rewritten."""
        text = f"the loop at {place(plan)} runs as written again: {plan.reason}"
        self.say(plan.strategy, FAILED, text, plan=plan.as_json())

    def summary(self, plan: Plan, count: int) -> None:
        """What it came to in all."""
        text = f"{count} items of the loop at {place(plan)} were made ahead"
        self.say(plan.strategy, SUMMARY, text, batches=count)


def place(plan: Plan) -> str:
    """Where a loop stands, as it is printed."""
    return f"{os.path.basename(plan.file)}:{plan.line}"


def places(lines: tuple[int, ...]) -> str:
    """Lines of the user's file."""
    if len(lines) == 1:
        return f"line {lines[0]}"
    return f"lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"


def ahead(plan: Plan) -> str:
    """Who runs them."""
    verb = "runs" if len(plan.places) == 1 else "run"
    if plan.heavy:
        what = "processes" if plan.where == "process" else "threads"
        return f"{verb} ahead in {plan.workers} {what}, up to {plan.depth} items"
    what = "a process" if plan.where == "process" else "a thread"
    return f"{verb} ahead in {what}, in order, up to {plan.depth} items"
