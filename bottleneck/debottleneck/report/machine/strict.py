"""Documents in JSON's own types."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def dumps(document: Mapping[str, Any], digits: int | None = None) -> str:
    """A document as strict JSON (no NaN, no infinity) with a final newline."""
    return json.dumps(strict(document, digits), indent=1, allow_nan=False) + "\n"


def strict(value: Any, digits: int | None = None) -> Any:
    """The same in JSON's own types; what is not a number becomes null.

    Args:
        value: Anything; tables and dataclasses too.
        digits: Decimals to keep, all by default.
    """
    if isinstance(value, pd.DataFrame):
        value = value.to_dict("records")
    elif dataclasses.is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        return {str(key): strict(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [strict(item, digits) for item in value]
    if isinstance(value, np.generic):
        return strict(value.item(), digits)
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else round(value, digits)
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
