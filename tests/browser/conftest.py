"""The browser, and the pages as files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import pytest


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One chromium for a file of tests; without it they are skipped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if not browsing.CHROMIUM.exists():
        pytest.skip(f"needs {browsing.CHROMIUM}")
    with sync_api.sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=str(browsing.CHROMIUM),
            headless=True,
            args=browsing.ARGUMENTS,
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every page as a file, by its name."""
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name, text in browsing.pages().items():
        made[name] = folder / f"{name}.html"
        made[name].write_text(text, encoding="utf-8")
    return made
