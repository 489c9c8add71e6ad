"""`selfcheck --scale` as one table, and as JSON (schema in `report/selfcheck.py`)."""

from __future__ import annotations

import dataclasses
import io
import json

from rich.console import Console

from debottleneck.report.quantities import NOTHING, number, percent
from debottleneck.report.text.tables import heading, paragraph, plain_table
from debottleneck.selfcheck.result import Growth, Size

SCHEMA = 1
HEADERS = ("threads", "steps", "run s", "kB", "sampler", "Hz", "late", "page s", "MiB")


def text(growth: Growth, width: int = 80) -> str:
    """The table, a sentence on what each column is, and what the sampler did."""
    console = Console(
        file=io.StringIO(),
        width=width,
        color_system=None,
        markup=False,
        highlight=False,
        _environ={},
    )
    with console.capture() as captured:
        heading(console, "How size, cost and report grow")
        table = plain_table(*HEADERS, left=0)
        for size in growth.threads:
            table.add_row(*_cells(size))
        table.add_section()
        for size in growth.steps:
            table.add_row(*_cells(size))
        console.print(table)
        console.print()
        paragraph(
            console,
            "kB: the recording. sampler: of one core. Hz: samples a second that "
            "were taken. late: samples begun too late. page s, MiB: time and peak "
            "memory of `bottleneck report --format html`. Rows without a sampler "
            "repeat a measured recording.",
        )
        for line in said(growth):
            paragraph(console, line)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    return "\n".join(lines).strip("\n") + "\n"


def _cells(size: Size) -> tuple[str, ...]:
    return (
        f"{size.threads:,}",
        f"{size.steps:,}",
        number(size.seconds, 0),
        f"{size.recording_bytes / 1e3:,.0f}",
        percent(size.sampler_cpu_share),
        number(size.achieved_hz, 0),
        NOTHING if size.late_ticks is None else f"{size.late_ticks:,}",
        number(size.report_s, 1),
        number(size.report_peak_mib, 0),
    )


def said(growth: Growth) -> list[str]:
    """Where the sampler lowered its rate."""
    return [
        f"At {size.threads} threads the sampler lowered its rate from "
        f"{number(size.asked_hz, 0)} to {number(size.achieved_hz, 0)} samples a "
        "second, to stay within a twentieth of one core."
        for size in growth.lowered()
    ]


def document(growth: Growth) -> str:
    """The JSON document."""
    found = {"schema": SCHEMA, **dataclasses.asdict(growth), "said": said(growth)}
    return json.dumps(found, indent=1, allow_nan=False) + "\n"
