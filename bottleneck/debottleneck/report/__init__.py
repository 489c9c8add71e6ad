"""Renderers: an Analysis or a Comparison in, a file's content out; none computes.

`text` is for the terminal, `json` for scripts and CI (`machine` documents the
schema), `html` is one self-contained page; the others are for tools that people use
already. Each is imported when first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING

from debottleneck.analysis.ranks import Ranks
from debottleneck.analysis.result import Analysis
from debottleneck.errors import BottleneckError, UsageError
from debottleneck.recording import spool
from debottleneck.trials.result import Comparison

if TYPE_CHECKING:
    from debottleneck.trials.sides import Sides

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "text": "debottleneck.report.text.run",
        "json": "debottleneck.report.machine.run",
        "html": "debottleneck.report.html.run",
        "perfetto": "debottleneck.report.exports.perfetto",
        "collapsed": "debottleneck.report.exports.collapsed",
    }
)
"""Format -> the module whose `render(analysis)` makes it, as text or bytes."""

COMPARISON_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "text": "debottleneck.report.text.comparison",
        "json": "debottleneck.report.machine.comparison",
        "html": "debottleneck.report.html.comparison",
    }
)
"""Format -> the module whose `render(comparison)` makes it; the page's also takes
what stands behind the comparison."""


RANKS_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "text": "debottleneck.report.text.ranks",
        "json": "debottleneck.report.machine.ranks",
        "html": "debottleneck.report.html.ranks",
    }
)
"""Format -> the module whose `render(ranks)` makes it, likewise."""


def render(analysis: Analysis, format: str = "text") -> str | bytes:
    """The report of an analysis in one of FORMATS.

    Raises:
        UsageError: No such format.
    """
    content: str | bytes = _module(FORMATS, format).render(analysis)
    return content


def render_comparison(
    comparison: Comparison, format: str = "text", shown: Sides | None = None
) -> str:
    """A comparison in one of COMPARISON_FORMATS.

    Args:
        comparison: What was compared.
        format: One of COMPARISON_FORMATS.
        shown: What stands behind it, for the page; by default it opens the recordings.

    Raises:
        UsageError: No such format.
        RecordingError: A row claims more than its interval shows.
    """
    behind = (shown,) if format == "html" else ()
    text: str = _module(COMPARISON_FORMATS, format).render(comparison, *behind)
    return text


def render_ranks(ranks: Ranks, format: str = "text") -> str:
    """The ranks of a distributed run in one of RANKS_FORMATS.

    Raises:
        UsageError: No such format.
    """
    text: str = _module(RANKS_FORMATS, format).render(ranks)
    return text


def _module(formats: Mapping[str, str], format: str) -> ModuleType:
    if format not in formats:
        raise UsageError(
            f"there is no report format {format!r}",
            f"choose one of: {', '.join(formats)}",
        )
    return importlib.import_module(formats[format])


def save(content: str | bytes, path: Path, *, private: bool = False) -> None:
    """Put a finished text or the bytes of a file at `path` in one move.

    One in a run's own folder is private like the rest of it.

    Whatever fails, no half-written file stays behind, and an older one is replaced
    only by a whole one.

    Raises:
        BottleneckError: The file cannot be written.
    """
    half = path.with_name(path.name + ".part")
    if isinstance(content, str):
        content = content.encode("utf-8", "replace")
    try:
        with open(half, "wb", opener=spool.private if private else None) as stream:
            stream.write(content)
        half.replace(path)
    except OSError as error:
        raise BottleneckError(
            f"{path} cannot be written ({error.strerror})",
            "name another place with --output",
        ) from error
    finally:
        half.unlink(missing_ok=True)
