"""What an exported format needs and a recording may lack."""

from __future__ import annotations

from debottleneck.analysis.result import Analysis
from debottleneck.errors import UsageError


def lacks(analysis: Analysis, what: str, instrument: str, remedy: str) -> UsageError:
    """The error that says what is missing, why, and how to measure it.

    Args:
        analysis: Its `not_measured` may know why.
        what: Begins the entry's name there: "stacks" or "functions".
        instrument: Who measures it.
        remedy: What to do when no entry knows better.
    """
    known = [each for each in analysis.not_measured if each.what.startswith(what)]
    why = f": {known[0].why}" if known else ""
    advice = known[0].remedy if known and known[0].remedy else remedy
    return UsageError(f"this recording has no {what} of {instrument}{why}", advice)
