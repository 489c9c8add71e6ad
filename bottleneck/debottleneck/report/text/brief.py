"""A run in one look on the terminal: what, where, what to do, the table, what next.

At most MOST_LINES from 80 columns on: rows and lines of code are left out until it
fits; `text.run` has all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from rich.console import Console
from rich.table import Table
from rich.text import Text

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.analysis.rules.wording import names, spoken
from debottleneck.prediction.verdict import BY_HAND
from debottleneck.report.excerpts import excerpt
from debottleneck.report.text import causes
from debottleneck.report.text.tables import new_console, tidy
from debottleneck.report.words import faster, predictions, run
from debottleneck.report.words.quantities import clean, cut

MOST_LINES = 25
"""What a terminal shows as it opens, with the line to type on."""

FITS = ((4, 0.01), (3, 0.01), (3, 0.02), (2, 0.02), (2, 0.05), (1, 0.1), (1, 0.2))
"""Lines of code shown, and the share of the step below which rows are folded: the
first that fits."""

Draw = Callable[[Console], None]


def render(
    analysis: Analysis,
    *,
    footer: Sequence[str] = (),
    width: int = 80,
    colour: bool = False,
) -> str:
    """What one looks at first."""

    def drawn(draw: Draw) -> list[str]:
        console = new_console(width, colour)
        with console.capture() as captured:
            draw(console)
        return tidy(captured.get()).splitlines()

    end = [*(cut(line, width) for line in _below(analysis)), *_next(analysis), *footer]
    for code, least in FITS:
        first = drawn(lambda console, code=code: _verdict(console, analysis, code))  # type: ignore[misc] # one that is called at once
        table = drawn(lambda console, least=least: _causes(console, analysis, least))  # type: ignore[misc] # likewise
        lines = [*first, "", *table, "", *end]
        if len(lines) <= MOST_LINES:
            break
    return "\n".join(lines).rstrip("\n") + "\n"


def _verdict(console: Console, analysis: Analysis, most: int) -> None:
    verdict, headline = analysis.verdict, _headline(analysis)
    table = Table.grid(padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("What", Text(clean(verdict.what), style="bold"))
    lines = _code(analysis, headline, most) if headline else []
    for at, line in enumerate(lines or [Text(clean(verdict.where))]):
        table.add_row("" if at else "Where", line)
    strategy, _, _ = verdict.action.partition(f" {BY_HAND}")
    gains = headline and headline.gain and headline.gain.worth
    table.add_row("Do", Text(clean(strategy if gains else verdict.action)))
    if verdict.note:
        table.add_row("Note", Text(clean(verdict.note)))
    console.print(table)


def _headline(analysis: Analysis) -> Finding | None:
    """The finding that the verdict is of, which may have a script's end before it."""
    for finding in analysis.findings:
        if finding.summary[1:] in analysis.verdict.what:
            return finding
    return None


def _code(analysis: Analysis, headline: Finding, most: int) -> list[Text]:
    """The lines that a finding names, with their shares; which functions they are of.

    A function that the verdict names is not named again.
    """
    rows: list[tuple[str, str, str]] = []
    of = ""
    for place in headline.where[:most]:
        shown = excerpt(analysis, place, headline.stage)
        if shown is None:
            continue
        hot = next(line for line in shown.lines if line.hot)
        of = of or (shown.stage if hot.share else "")
        spot = f"{PurePosixPath(place.file).name}:{place.line}"
        rows.append((hot.share if shown.stage == of else "", spot, hot.text.strip()))
    if not rows:
        return []
    called = [spoken(place.function) for place in headline.where if place.function]
    fresh = [c for c in dict.fromkeys(called) if c not in analysis.verdict.what]
    shares = f"% of the samples in `{of}`" if of else ""
    lead = clean("; ".join(filter(None, [names(fresh), shares])))
    wide, long = (max(len(row[at]) for row in rows) for at in (0, 1))
    lines = [Text(lead)] if lead else []
    for share, spot, code in rows:
        start = f"{share:>{wide}}  " * bool(wide) + f"{spot:<{long}}  "
        line = Text(start, no_wrap=True, overflow="ellipsis")
        lines.append(line.append(code, "dim"))
    return lines


def _causes(console: Console, analysis: Analysis, least: float) -> None:
    if cut_off := run.ending(analysis):
        console.print(Text(cut_off, "yellow"))
    console.print(Text(run.loop_in_short(analysis.loop)))
    if not analysis.causes.empty or not analysis.stages.empty:
        causes.folded(console, analysis, least)


def _below(analysis: Analysis) -> list[str]:
    """What qualifies it, each in a line."""
    found = analysis.predictions
    assumed = found and found.gaining and not found.machine.get("measured")
    lines = (
        run.device_line(analysis),
        run.gil_line(analysis),
        predictions.ASSUMED if assumed else "",
    )
    said = faster.in_short(analysis.faster) if analysis.faster else ""
    return [*filter(None, (*lines, said, *run.gap_lines(analysis)))]


def _next(analysis: Analysis) -> list[str]:
    """The one command to type next; none for a rank, or with nothing to be tried."""
    if analysis.recording.facts.ranks:
        return []
    found = analysis.predictions
    worth = found and (found.best or found.gaining)
    if not (found and (worth or (found.untold and analysis.findings))):
        return []
    command = predictions.compare(analysis.recording, found.best)
    return [f"{'Next':<{predictions.INDENT}}{clean(command)}"]
