"""What an exported format needs and a recording may lack."""

from __future__ import annotations

from debottleneck.analysis.result import Analysis
from debottleneck.errors import UsageError
from debottleneck.recording.recording import NotMeasured


def lacks(analysis: Analysis, what: str, instrument: str, remedy: str) -> UsageError:
    """The error that says what is missing, why, and how to measure it.

    Args:
        analysis: Its `not_measured` may know why.
        what: Begins the entry's name there: "stacks" or "functions".
        instrument: Who measures it.
        remedy: What to do when no entry knows better.
    """
    gaps = (gap for gap in analysis.not_measured if gap.what.startswith(what))
    gap = next(gaps, NotMeasured(what, ""))
    reason = f": {gap.why}" if gap.why else ""
    text = f"this recording has no {what} of {instrument}{reason}"
    return UsageError(text, gap.remedy or remedy)
