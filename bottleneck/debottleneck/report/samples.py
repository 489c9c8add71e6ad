"""The wait sampler's rows: each one's cause, as far as that one row shows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from debottleneck.recording.recording import STATES


def causes_of(waits: pd.DataFrame) -> np.ndarray[Any, Any]:
    """A word of `words.CAUSES` for each row of a recording's `waits`.

    "running" instead where it is not known who held the GIL.
    """
    known = np.array(STATES, dtype=object)
    names = known[waits.state.to_numpy(dtype="int64")]
    running = names == "running"
    holder = waits.holder.to_numpy()
    own = holder == waits.tid.to_numpy()
    names = np.where(running & own, "python", names)
    names = np.where(running & ~own & (holder >= 0), "native", names)
    late = waits.delay_ns.to_numpy() > waits.oncpu_ns.to_numpy()
    return np.where(running & late, "runqueue", names)
