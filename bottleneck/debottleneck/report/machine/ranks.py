"""The ranks of a distributed run as JSON; docs/json.md says what each key is."""

from __future__ import annotations

from typing import Any

from debottleneck.analysis.ranks import RankRun, Ranks
from debottleneck.report.machine.strict import dumps
from debottleneck.report.words import ranks as words

SCHEMA = 1
"""Version of the document."""


def render(ranks: Ranks) -> str:
    """The document as strict JSON."""
    found = ranks.straggler
    document = {
        "schema": SCHEMA,
        "world": ranks.world,
        "missing": ranks.missing,
        "step_ms": ranks.step_ms,
        "told": ranks.told,
        "difference_ms": ranks.difference_ms,
        "verdict": words.verdict(ranks),
        "straggler": found and {**vars(found), "speedup": found.speedup},
        "ranks": [_rank(run) for run in ranks.runs],
    }
    return dumps(document, 6)


def _rank(run: RankRun) -> dict[str, Any]:
    loop = run.analysis.loop
    return {
        "rank": run.number,
        "folder": run.folder,
        "host": run.place["host"] if run.place else None,
        "shift_ns": run.shift_ns,
        "steps": loop.measured,
        "step_ms": loop.step_ms,
        "own_ms": run.own.to_dict(),
        "own_error_ms": run.error_ms,
        "waits_ms": run.waits_ms,
    }
