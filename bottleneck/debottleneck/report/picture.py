"""A figure as a PNG file's bytes; kaleido draws it in a browser of this machine."""

from __future__ import annotations

import importlib.util
import logging

import plotly.graph_objects as go

from debottleneck.errors import BottleneckError, UsageError

WIDTH, SCALE = 1200, 2
"""Pixels of layout, and how many of the picture's go to one of them."""

HEIGHT = 450
"""Of a figure that does not say how high it is: plotly's own default."""

BROWSER = "install Chromium or Google Chrome, or name one in BROWSER_PATH"


def check() -> None:
    """Refuse early where pictures cannot be made.

    Raises:
        UsageError: kaleido is not installed.
    """
    if importlib.util.find_spec("kaleido") is None:
        raise UsageError(
            "a picture needs kaleido, which is not installed", "pip install kaleido"
        )


def png(figure: go.Figure) -> bytes:
    """The figure, `WIDTH` pixels wide at `SCALE` times the resolution.

    Nothing is loaded from the network: plotly.js is the installed one, and no
    formulas are set.

    Raises:
        UsageError: kaleido is not installed.
        BottleneckError: There is no browser, or it fails.
    """
    check()
    import kaleido
    from kaleido import errors

    # What fails is raised as one sentence; what it logs, as of a last message that it
    # reads with the browser's farewell, adds nothing.
    logging.getLogger("choreographer").setLevel(logging.CRITICAL)
    size = {"width": WIDTH, "height": figure.layout.height or HEIGHT}
    try:
        content: bytes = kaleido.calc_fig_sync(
            figure.to_plotly_json(),
            opts={"format": "png", "scale": SCALE, **size},
            kopts={"mathjax": False},
        )
    except errors.ChromeNotFoundError as error:
        raise BottleneckError(
            "a picture needs a browser to draw it", BROWSER
        ) from error
    except (
        errors.BrowserClosedError,
        errors.BrowserFailedError,
        errors.JavascriptError,
        errors.KaleidoError,
        TimeoutError,
    ) as error:
        reason = " ".join(str(next(iter(error.args), "no answer")).split())[:160]
        raise BottleneckError(
            f"the browser drew no picture ({reason})", BROWSER
        ) from error
    return content
