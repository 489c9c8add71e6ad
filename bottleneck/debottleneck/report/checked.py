"""What a run had of its limits, for a terminal and for what CI reads."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from xml.etree import ElementTree

from debottleneck.analysis.result import Analysis
from debottleneck.analysis.rules.wording import IN_TIME
from debottleneck.report.words.quantities import (
    clean,
    count,
    decimals,
    home,
    place,
    short,
)
from debottleneck.trials.limits import Checked, Limit
from debottleneck.words import CAUSES, STEP

Results = Sequence[Checked]

BAR = r"\|"
"""How a bar is written in a cell of Markdown."""

_WORDS = {True: "kept", False: "**exceeded**"}


def render(results: Results, analysis: Analysis, format: str) -> str:
    """The results as text, or as "junit", "github" or "markdown"."""
    return _FORMATS[format](results, analysis)


def sentence(result: Checked) -> str:
    """What was measured beside what is allowed, without a period."""
    limit, found = result.limit, result.found
    subject = "the step" if limit.name == STEP else limit.name
    if limit.name in CAUSES:
        subject = f"{limit.name} ({IN_TIME[limit.name]})"
    verb = "grew by" if limit.grows else "takes"
    of = " of the step" if limit.is_share and not limit.grows else ""
    low, high = (_amount(limit, end).split()[0] for end in (found.low, found.high))
    bounds = f" ({low} to {high})" if found.high >= found.low else ""
    most = f"the {limit.text.partition('=')[2].removeprefix('+')} allowed"
    judged = f"within {most}" if found.value <= limit.most else f"more than {most}"
    if result.kept and found.value > limit.most:
        judged = f"more than {most}, but not clearly: that is inside the interval"
    return clean(
        f"{subject} {verb} {_amount(limit, found.value)}{of}{bounds}, {judged}"
    )


def _amount(limit: Limit, value: float) -> str:
    if limit.is_share:
        points = limit.grows and limit.name != STEP
        return f"{100 * value:.1f} {'points' if points else '%'}"
    return f"{value:,.{decimals(abs(value))}f} ms"


def _broken(results: Results) -> list[Checked]:
    return [result for result in results if not result.kept]


def _advice(analysis: Analysis) -> list[str]:
    """What the run is held up by, and what to do about it."""
    verdict = analysis.verdict
    lines = {"What": verdict.what, "Where": verdict.where, "Do": verdict.action}
    return [f"{name:<6}{clean(text)}" for name, text in lines.items() if text]


def _text(results: Results, analysis: Analysis) -> str:
    broken = _broken(results)
    lines = [f"{'ok' if r.kept else 'FAILED':<8}{sentence(r)}" for r in results]
    if broken:
        path = shlex.quote(str(analysis.recording.path))
        lines += ["", *_advice(analysis), f"{'More':<6}bottleneck report {path}"]
    return "\n".join(lines) + "\n"


def _markdown(results: Results, analysis: Analysis) -> str:
    broken = _broken(results)
    said = f"{count(len(broken), 'limit')} of {len(results)} exceeded"
    lines = [f"### bottleneck: {said if broken else 'all limits kept'}", ""]
    lines += ["| limit | result | measured |", "| --- | --- | --- |"]
    for result in results:
        cells = f"`{result.limit.text}`", _WORDS[result.kept], sentence(result)
        lines.append(f"| {' | '.join(c.replace('|', BAR) for c in cells)} |")
    if broken:
        lines += ["", *(f"* {line}" for line in _advice(analysis))]
    return "\n".join(lines) + "\n"


def _github(results: Results, analysis: Analysis) -> str:
    """Workflow commands: an annotation at the line of each limit that was exceeded."""
    directory = home(analysis.recording.facts)
    lines = []
    for result in results:
        spot, where = {"title": f"bottleneck: {result.limit.text}"}, result.where
        if where is not None and where.file:
            spot |= {"file": short(where.file, directory), "line": str(where.line)}
        told = ",".join(f"{name}={_escaped(text, ':,')}" for name, text in spot.items())
        kind = "notice" if result.kept else "error"
        lines.append(f"::{kind} {told}::{_escaped(sentence(result))}")
    return "\n".join(lines) + "\n"


def _escaped(text: str, more: str = "") -> str:
    """As the toolkit of GitHub's actions escapes data, and with `more` properties."""
    return "".join(f"%{ord(c):02X}" if c in f"%\r\n{more}" else c for c in text)


def _junit(results: Results, analysis: Analysis) -> str:
    facts = analysis.recording.facts
    counts = {"tests": len(results), "failures": len(_broken(results))}
    told = {name: str(number) for name, number in counts.items()}
    suite = ElementTree.Element("testsuite", {"name": "bottleneck", **told})
    for result in results:
        names = {"classname": clean(facts.script), "name": clean(result.limit.text)}
        case = ElementTree.SubElement(suite, "testcase", names)
        if not result.kept:
            why = {"message": sentence(result), "type": "limit"}
            failure = ElementTree.SubElement(case, "failure", why)
            failure.text = "\n".join([*_at(result, analysis), *_advice(analysis)])
    ElementTree.indent(suite)
    declared = '<?xml version="1.0" encoding="utf-8"?>\n'
    return declared + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _at(result: Checked, analysis: Analysis) -> Iterator[str]:
    if (where := result.where) is not None:
        directory = home(analysis.recording.facts)
        yield place(where.function, where.file, where.line, directory)


_FORMATS: Mapping[str, Callable[[Results, Analysis], str]] = {
    "text": _text,
    "junit": _junit,
    "github": _github,
    "markdown": _markdown,
}
