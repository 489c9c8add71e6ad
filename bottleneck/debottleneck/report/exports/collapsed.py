"""Folded stacks, one a line: `thread;stage;frame;frame microseconds`.

The format of Brendan Gregg's flamegraph.pl, also read by speedscope and inferno. The
numbers are py-spy's sampled time.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

from debottleneck.analysis.code import Frame
from debottleneck.analysis.result import Analysis
from debottleneck.report.exports.threads import stacks_of
from debottleneck.report.words.quantities import home, place


def render(analysis: Analysis) -> str:
    """The lines, the longest time of each thread first.

    Raises:
        UsageError: py-spy was not at work.
    """
    directory = home(analysis.recording.facts)

    @cache
    def named(frame: Frame) -> str:
        return _plain(place(*frame, directory))

    lines = []
    for thread, samples in stacks_of(analysis).items():
        sums: Counter[str] = Counter()
        for stack, weight in samples:
            sums[";".join(map(named, stack))] += weight
        lines += [
            f"{_plain(thread)};{stack} {max(1, round(weight / 1000))}"
            for stack, weight in sums.most_common()
        ]
    return "\n".join(lines) + "\n"


def _plain(name: str) -> str:
    """Without the separator."""
    return name.replace(";", ",")
