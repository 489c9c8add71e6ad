"""A real profile, redacted: the same diagnosis, and nothing of where it was made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from running import Profile

from debottleneck import load_recording
from debottleneck.analysis.analyse import analyse
from debottleneck.report import FORMATS, redact, render
from debottleneck.report.redacted_texts import HOME

SCRIPT = """\
import sys, threading, time

def load_batch(path):
    with open(path, "rb") as file:
        file.read()
    time.sleep(0.01)
    zq1qz = 0.5
    return zq1qz

def forward(batch):
    return sum(i * batch for i in range(20_000))

threading.Thread(target=time.sleep, args=(99,), name=sys.argv[1], daemon=True).start()
for _ in range(1000):  # py-spy needs steps enough, however busy the machine is
    forward(load_batch(sys.argv[1]))
"""

SECRETS = ("zq1qz", "zq2qz", "zq3qz", "zq4qz")


def test_a_profile_from_a_temporary_folder_can_be_shown_to_anyone(
    profile: Profile, tmp_path: Path
) -> None:
    """Folder, argument, file, thread and source are gone; shares and lines are not."""
    folder = tmp_path / "zq2qz" / "client zq3qz"
    folder.mkdir(parents=True)
    script, data = folder / "train.py", folder / "zq4qz.bin"
    script.write_text(SCRIPT)
    data.write_bytes(b"0" * 100_000)
    done, recorded = profile(script, "--functions", "windows", arguments=[str(data)])
    assert done.returncode == 0, done.stderr
    found = load_recording(recorded)
    before, after = analyse(found), analyse(redact.recording(found))
    kept = {"rule": before.loop.rule, "header": before.loop.header}
    assert replace(after.loop, **kept, file=before.loop.file) == before.loop
    assert before.findings
    assert [(f.kind, f.share) for f in after.findings] == [
        (f.kind, f.share) for f in before.findings
    ]
    assert list(after.lines.share) == list(before.lines.share)
    assert [w.line for w in after.findings[0].where] == [
        w.line for w in before.findings[0].where
    ]
    assert f"{HOME}/train.py" in set(after.recording.sites.file)
    for format in FORMATS:
        content = render(after, format)
        text = content if isinstance(content, str) else content.decode("latin-1")
        told = (*SECRETS, str(tmp_path), tmp_path.name)
        assert [word for word in told if word in text] == [], format
