"""What of the time around the training is an evaluation, by what it computes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from debottleneck.analysis.frames import BULK, bounds, holding
from debottleneck.recording.loop import ChosenLoop
from debottleneck.words import BETWEEN_STAGES

EVERY = 0.9
"""A statement that fewer of the steps reach than this is not run in every step."""

FORWARD, TRAINING = ("forward", "loss"), ("backward", "update")


def evaluation(
    own: pd.DataFrame, steps: pd.DataFrame, sites: pd.DataFrame, loop: ChosenLoop | None
) -> NDArray[np.bool_]:
    """Which segments are of a statement that evaluates, whatever it is called.

    It computes forward and does not train, nothing that trains uses what it makes, and
    it is not run in every step, or stands around the loop.
    """
    if loop is None:
        return np.zeros(len(own), np.bool_)
    by_site = sites.set_index("site")
    ends = by_site["end"].to_dict()
    inside = (
        (by_site["file"] == loop.file)
        & (by_site["line"] >= loop.line)
        & (by_site["line"] <= ends.get(loop.site, loop.line))
    )
    aside = set(by_site.index[by_site["side"] != ""])
    around = ~own["in_loop"].to_numpy()
    found = np.zeros(len(own), np.bool_)
    counted = steps[steps["block"] != BULK]
    step = holding(*bounds(counted), bounds(own)[0])
    for (site, is_around), places in own.groupby([own["base"], around]).indices.items():
        seen = set(own["stage"].iloc[places])
        if site in aside or seen.isdisjoint(FORWARD) or seen & set(TRAINING):
            continue
        if is_around:
            found[places] = not inside.get(site, False)
        elif site >= 0:
            reached = np.unique(step[places])
            share = np.count_nonzero(reached >= 0) / max(len(counted), 1)
            found[places] = share < EVERY
    between: NDArray[np.bool_] = own["stage"].isin(BETWEEN_STAGES).to_numpy(np.bool_)
    return found & ~between
