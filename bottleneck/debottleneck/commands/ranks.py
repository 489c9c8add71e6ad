"""What a distributed run's ranks show together, as `profile` and `report` print it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from debottleneck.commands.target import say
from debottleneck.errors import UsageError

if TYPE_CHECKING:
    from debottleneck.analysis.ranks import Ranks
    from debottleneck.recording.recording import Recording


def unchanged(recording: Recording) -> Recording:
    """As it is read."""
    return recording


def read(
    parts: Sequence[Path],
    change: Callable[[Recording], Recording] = unchanged,
    *,
    named: bool = True,
) -> Ranks:
    """The ranks of recordings in these folders.

    Args:
        parts: One of each rank, which may be of several machines.
        change: What is done to each recording first.
        named: Whether folders that lie in several may be named with their paths.
    """
    from debottleneck.analysis.analyse import analyse
    from debottleneck.analysis.ranks import compare_ranks
    from debottleneck.recording.assemble import load

    several = named and len({part.parent for part in parts}) > 1
    return compare_ranks(
        (str(part) if several else part.name, analyse(change(load(part))))
        for part in parts
    )


def rendered(ranks: Ranks, format: str) -> str:
    """The picture of all ranks in a format.

    Raises:
        UsageError: It shows one run only.
    """
    from debottleneck.report import RANKS_FORMATS, render_ranks

    if format not in RANKS_FORMATS:
        raise UsageError(
            f"--format {format} shows one rank, not all of them",
            f"name one of their folders, e.g. {ranks.runs[0].folder}",
        )
    return render_ranks(ranks, format)


def report_ranks(folder: Path, copies: list[tuple[str, Path]]) -> None:
    """Print the picture of all ranks, and write its page.

    Args:
        folder: Of the run.
        copies: Further formats, and the files that they go to.
    """
    from debottleneck.collect.ranks import saved
    from debottleneck.prediction.verdict import judged
    from debottleneck.report import save
    from debottleneck.report.text import brief
    from debottleneck.report.text import ranks as text
    from debottleneck.report.text.tables import look, print_apart

    parts = saved(folder)
    if not parts:
        say(f"no rank has left a recording in {folder}")
        return
    found, page = read(parts), folder / "report.html"
    quoted = shlex.quote(str(folder))
    footer = (f"Page  {page}", f"More  bottleneck report {quoted}/rank-0")
    shape = look(sys.stderr)._asdict()
    if found.world == 1:
        analysis = judged(found.runs[0].analysis)
        more = f"{'More':<11}bottleneck report --full {quoted}"
        print_apart(brief.render(analysis, footer=(more,), **shape), sys.stderr)
        return
    print_apart(text.render(found, footer=footer, **shape), sys.stderr)
    save(rendered(found, "html"), page, private=True)
    for format, path in copies:
        save(rendered(found, format), path)
        say(f"wrote {path}")
