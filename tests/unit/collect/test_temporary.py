"""Temporary folders: one's own while it is used, those of dead runs swept."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from debottleneck.collect import temporary
from debottleneck.errors import UsageError


def test_only_what_dead_runs_have_left_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders of living processes, files, links and other names stay."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with subprocess.Popen(["true"]) as ended:
        pass
    dead, alive = ended.pid, os.getpid()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    stay = {f"bottleneck-{alive}-a", f"bottleneck-trial-{alive}-a", "bottleneck-mine"}
    for name in (*stay, f"bottleneck-{dead}-a", f"bottleneck-trial-{dead}-b_c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / f"bottleneck-{dead}-link").symlink_to(tmp_path / "kept")
    with temporary.folder("trial") as folder:
        assert folder.name.startswith(f"bottleneck-trial-{alive}-")
        names = {path.name for path in tmp_path.iterdir()}
    assert names == {*stay, folder.name, "kept", f"bottleneck-{dead}-link"}
    assert not folder.exists()
    assert (tmp_path / "kept" / "file").exists()


def test_no_place_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said how to name another."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="TMPDIR"), temporary.folder():
        pass
