"""Renderers: an Analysis or a Comparison in, a text out; none computes anything.

`text` is for the terminal, `json` for scripts and CI (`machine` documents the
schema), `html` is one self-contained page. Each is imported when first asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType

from debottleneck.analysis.result import Analysis
from debottleneck.errors import BottleneckError, UsageError
from debottleneck.trials.result import Comparison

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "text": "debottleneck.report.text.run",
        "json": "debottleneck.report.machine.run",
        "html": "debottleneck.report.html.run",
    }
)
"""Format -> the module whose `render(analysis)` makes it."""

COMPARISON_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "text": "debottleneck.report.text.comparison",
        "json": "debottleneck.report.machine.comparison",
        "html": "debottleneck.report.html.comparison",
    }
)
"""Format -> the module whose `render(comparison)` makes it."""

SUFFIXES: Mapping[str, str] = MappingProxyType(
    {".txt": "text", ".json": "json", ".html": "html"}
)
"""File ending -> format, for `write`."""


def render(analysis: Analysis, format: str = "text") -> str:
    """The report of an analysis in one of FORMATS.

    Raises:
        UsageError: No such format.
    """
    text: str = _module(FORMATS, format).render(analysis)
    return text


def render_comparison(comparison: Comparison, format: str = "text") -> str:
    """A comparison in one of FORMATS; the page opens its recordings.

    Raises:
        UsageError: No such format.
        RecordingError: A row claims more than its interval shows.
    """
    module = _module(COMPARISON_FORMATS, format)
    text: str = module.render(comparison)
    return text


def _module(formats: Mapping[str, str], format: str) -> ModuleType:
    if format not in formats:
        raise UsageError(
            f"there is no report format {format!r}",
            f"choose one of: {', '.join(formats)}",
        )
    return importlib.import_module(formats[format])


def write(analysis: Analysis, path: Path, format: str | None = None) -> None:
    """Render into a file; whatever fails, no half-written file stays behind.

    Args:
        analysis: What to report.
        path: The file to write; an older one is replaced only by a whole one.
        format: One of FORMATS; by default the one of the file's ending, else text.

    Raises:
        BottleneckError: The file cannot be written.
    """
    chosen = format or SUFFIXES.get(path.suffix.lower(), "text")
    save(render(analysis, chosen), path)


def save(text: str, path: Path) -> None:
    """Put a finished text at `path` in one move.

    Raises:
        BottleneckError: The file cannot be written.
    """
    half = path.with_name(path.name + ".part")
    try:
        half.write_text(text, encoding="utf-8", errors="replace")
        half.replace(path)
    except OSError as error:
        raise BottleneckError(
            f"{path} cannot be written ({error.strerror})",
            "name another place with --output",
        ) from error
    finally:
        half.unlink(missing_ok=True)
