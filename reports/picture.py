"""The picture at the head of README: what `profile` prints, of a run on the shelf."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from debottleneck.analysis.analyse import analyse
from debottleneck.prediction.verdict import judged
from debottleneck.recording.assemble import load
from debottleneck.report.text import brief

WORKLOAD, FILE = "python_augment", "profile.svg"
WIDTH = 112
FOLDER = f"bottleneck-runs/{WORKLOAD}-20261130-101500"
FOOTER = (
    f"Page       {FOLDER}/report.html",
    f"More       bottleneck report --full {FOLDER}",
)

FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" \
xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, \
"DejaVu Sans Mono", monospace; font-size: {char_height}px; line-height: \
{line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" \
clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""rich's own, but for a font that it would fetch from the network."""


def render(shelf: Path) -> str:
    """The terminal as SVG, the same on every machine."""
    recording = replace(load(shelf / WORKLOAD / "baseline"), path=None)
    analysis = judged(analyse(recording))
    text = brief.render(analysis, footer=FOOTER, width=WIDTH, colour=True)
    console = Console(
        record=True,
        file=io.StringIO(),
        width=WIDTH,
        force_terminal=True,
        color_system="standard",
        legacy_windows=False,
        _environ={},
    )
    console.print(Text(f"$ bottleneck profile workloads/{WORKLOAD}.py\n"))
    console.print(Text.from_ansi(text))
    drawn = console.export_svg(title="bottleneck", code_format=FRAME, unique_id="p")
    lines = [line.rstrip() for line in drawn.splitlines() if line.strip()]
    return "\n".join(lines) + "\n"
