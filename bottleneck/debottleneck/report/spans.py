"""Spans of time, one after the other, as figures and exports draw them."""

from __future__ import annotations

import numpy as np
import pandas as pd

TOUCHING_NS = 1_000
"""Spans this close to each other are neighbours."""


def joined(rows: pd.DataFrame, same: list[str]) -> pd.DataFrame:
    """In order of time, none over the next; like neighbours are one.

    Args:
        rows: With `start_ns` and `end_ns`, of one thread.
        same: The columns that like spans share.
    """
    rows = rows.sort_values("start_ns", kind="stable")
    latest = np.iinfo(np.int64).max
    ends = rows.end_ns.clip(upper=rows.start_ns.shift(-1, fill_value=latest))
    apart = rows.start_ns - ends.shift(fill_value=-latest // 2) >= TOUCHING_NS
    new = (apart | (rows[same] != rows[same].shift()).any(axis=1)).to_numpy(np.bool_)
    last = np.append(new[1:], True)[: len(new)]
    return rows[new].assign(end_ns=ends.to_numpy()[last])
