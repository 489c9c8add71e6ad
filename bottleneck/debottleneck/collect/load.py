"""How busy the machine was with work that is not the target's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from debottleneck.recording import reading, spool


def foreign(raw: Path, blocks: pd.DataFrame) -> float | None:
    """Cores that others kept busy, the median over quiet half-seconds.

    Args:
        raw: The spool folder, with lines of [t_ns, all seconds, own seconds].
        blocks: Times to leave out: py-spy's own work is not foreign.
    """
    lines = reading.read_lines(raw / spool.LOAD_FILE)
    if len(lines) < 3:
        return None
    table = np.array(lines, np.float64)
    start, end = table[:-1, 0], table[1:, 0]
    quiet = np.ones(len(start), bool)
    for block in blocks.itertuples(index=False):
        quiet &= (end < block.start_ns) | (start > block.end_ns)
    spans = np.diff(table, axis=0)[quiet]
    spans = spans[spans[:, 0] > 1e8]
    if not len(spans):
        return None
    cores = (spans[:, 1] - spans[:, 2]) / (spans[:, 0] / 1e9)
    return round(max(float(np.median(cores)), 0.0), 2)
