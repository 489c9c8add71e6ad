"""What is said of the machine: plain values, and None where nothing is known."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from made_runs import table

from debottleneck import __version__
from debottleneck.collect.saving import foreign_load
from debottleneck.recording import cores, environment
from debottleneck.recording.recording import empty

SECOND = 1_000_000_000


def test_the_description_is_plain_and_whole() -> None:
    """JSON can hold it, and it states what `compare` has to check."""
    described = environment.describe("/usr/bin/python3", {"python": "3.13.1"})
    assert json.loads(json.dumps(described)) == described
    assert described["debottleneck"] == __version__
    assert described["python"] == "3.13.1"
    assert described["interpreter"] == "/usr/bin/python3"
    assert described["cores"] >= 1
    assert described["machine"]
    assert described["system"].startswith(os.uname().sysname)
    target = {"executable": "/venv/bin/python"}
    assert environment.describe("python", target)["interpreter"] == "/venv/bin/python"


def test_only_set_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thread counts that the user chose, and no others."""
    for name in cores.THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert environment.describe("python", {})["thread_variables"] == {}
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    found = environment.describe("python", {})["thread_variables"]
    assert found == {"OMP_NUM_THREADS": "4"}


@pytest.mark.parametrize(
    ("text", "granted"),
    [
        ("200000 100000\n", 2.0),
        ("50000 100000\n", 0.5),
        ("max 100000\n", None),
        ("", None),
        ("many 100000\n", None),
        ("200000 0\n", None),
    ],
)
def test_the_quota_of_a_control_group(
    tmp_path: Path, text: str, granted: float | None
) -> None:
    """Cores granted; no limit, or a text that is not the kernel's, is None."""
    (tmp_path / "cpu.max").write_text(text)
    assert cores.granted(tmp_path) == granted
    (tmp_path / "cpu.max").unlink()
    quota, _, period = text.replace("max", "-1").partition(" ")
    (tmp_path / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu.cfs_period_us").write_text(period)
    assert cores.granted(tmp_path) == granted


@pytest.mark.parametrize(
    ("text", "stopped_ns"),
    [
        ("usage_usec 9\nnr_throttled 2\nthrottled_usec 300\n", 300_000),
        ("nr_periods 9\nnr_throttled 2\nthrottled_time 4000\n", 4000),
        ("usage_usec 9\n", 0),
        ("torn", 0),
    ],
)
def test_what_a_quota_has_stopped(tmp_path: Path, text: str, stopped_ns: int) -> None:
    """As version 2 and version 1 of control groups say it; no quota, no time."""
    (tmp_path / "cpu.stat").write_text(text)
    assert cores.throttled_ns(tmp_path) == stopped_ns
    assert cores.throttled_ns(tmp_path / "none") == 0


def test_a_container_sees_its_own_groups_only(tmp_path: Path) -> None:
    """Paths are often the host's: what is not mounted here is passed over."""
    for kind in ("", "cpu", "cpu,cpuacct", "cpuacct,cpu"):
        (tmp_path / kind).mkdir(exist_ok=True)
        (tmp_path / kind / "cpu.stat").write_text("nr_periods 0\n")
    assert 1 <= len(cores.cpu_groups("self", tmp_path)) <= 2
    assert cores.cpu_groups("self", tmp_path / "none") == []
    assert cores.cpu_groups(-1, tmp_path) == []


def test_no_control_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without cgroups has no quota."""

    def missing(self: Path, **how: object) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", missing)
    assert cores.cpu_quota() is None
    assert environment.thread_pools(1) == []


def test_thread_pools_by_their_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each mapped library once, whatever its version; others not at all."""
    maps = (
        "7f0-7f1 r-xp 0 08:01 1 /v/numpy.libs/libscipy_openblas64_-ff651d7f.so\n"
        "7f1-7f2 r--p 0 08:01 1 /v/numpy.libs/libscipy_openblas64_-ff651d7f.so\n"
        "7f2-7f3 r-xp 0 08:01 2 /v/torch/lib/libgomp-98b21ff3.so.1\n"
        "7f3-7f4 r-xp 0 08:01 3 /usr/lib/libc.so.6\n"
        "7f4-7f5 rw-p 0 00:00 0 [heap]\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda self, **how: maps)
    assert environment.thread_pools(1) == [
        {"library": "openblas", "file": "libscipy_openblas64_-ff651d7f.so"},
        {"library": "openmp (gomp)", "file": "libgomp-98b21ff3.so.1"},
    ]


def test_versions_are_the_target_interpreters(tmp_path: Path) -> None:
    """Asked of the interpreter itself; one that cannot answer says nothing."""
    found = environment.package_versions(sys.executable)
    assert {"numpy", "pandas"} <= set(found)
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no; exit 1\n")
    broken.chmod(0o755)
    assert environment.package_versions(str(broken)) == {}


def loaded(folder: Path, rows: list[list[float]]) -> float | None:
    """Foreign load from lines of [s, all CPU seconds, own CPU seconds]."""
    text = "".join(json.dumps([s * SECOND, a, o]) + "\n" for s, a, o in rows)
    (folder / "load.jsonl").write_text(text)
    return foreign_load(folder, empty("blocks"))


def test_foreign_load_is_what_the_run_did_not_use(tmp_path: Path) -> None:
    """The median of cores busy with others; none is none, too little is unknown."""
    rows = [[n, 1.75 * n, 1.25 * n] for n in range(6)]
    assert loaded(tmp_path, rows) == 0.5
    assert loaded(tmp_path, [[n, n, n] for n in range(6)]) == 0.0
    assert loaded(tmp_path, rows[:2]) is None
    assert foreign_load(tmp_path / "none", empty("blocks")) is None


def test_foreign_load_leaves_out_the_instruments(tmp_path: Path) -> None:
    """While py-spy works, the machine is busy with us."""
    rows = [[n, n + (8 * min(max(n - 2, 0), 2)), n] for n in range(7)]
    loaded(tmp_path, rows)
    spans = [("stacks", 2 * SECOND, 4 * SECOND)]
    assert foreign_load(tmp_path, table("blocks", spans)) == 0.0
    assert foreign_load(tmp_path, table("blocks", [("gil", 0, 9 * SECOND)])) is None


SURROUNDINGS = {
    "debottleneck": "0.1.0",
    "system": "Linux 6.1",
    "machine": "x86_64",
    "processor": "AMD EPYC",
    "cores": 8,
    "cpu_quota": None,
    "memory_gib": 31.2,
    "python": "3.11.7",
    "interpreter": "/venv/bin/python",
    "thread_variables": {},
    "packages": {"numpy": "2.4.6", "PIL": "13.0.0"},
    "thread_pools": [{"library": "openblas", "file": "libopenblas-1.so"}],
    "foreign_load": 0.1,
}


def apart(**changed: object) -> list[tuple[str, str, str, bool]]:
    """The differences to `SURROUNDINGS` after a change; None takes a fact away."""
    after = {**SURROUNDINGS, **changed}
    found = environment.differences(SURROUNDINGS, after)
    return [(one.what, one.before, one.after, one.matters) for one in found]


def test_the_same_surroundings_do_not_differ() -> None:
    """Nor do two of which nothing is known, or one that was cut off and another."""
    assert apart() == []
    for before, after in (({}, {}), (SURROUNDINGS, {}), ({}, SURROUNDINGS)):
        assert environment.differences(before, after) == ()
    here = environment.describe(sys.executable, {})
    assert environment.differences(here, here) == ()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"cores": 2}, ("cores", "8", "2", True)),
        ({"cpu_quota": 2.0}, ("CPU quota", "none", "2", True)),
        ({"processor": "Xeon"}, ("processor", "AMD EPYC", "Xeon", True)),
        ({"system": "Linux 6.2"}, ("system", "Linux 6.1", "Linux 6.2", True)),
        ({"machine": "aarch64"}, ("machine", "x86_64", "aarch64", True)),
        ({"memory_gib": 15.5}, ("memory (GiB)", "31.2", "15.5", False)),
        ({"python": "3.13.1"}, ("Python", "3.11.7", "3.13.1", True)),
        (
            {"interpreter": "/usr/bin/python"},
            ("interpreter", "/venv/bin/python", "/usr/bin/python", False),
        ),
        ({"debottleneck": "0.2.0"}, ("debottleneck", "0.1.0", "0.2.0", False)),
        (
            {"thread_variables": {"OMP_NUM_THREADS": "1"}},
            ("OMP_NUM_THREADS", "none", "1", True),
        ),
        ({"foreign_load": 1.5}, ("cores kept busy by other work", "0.1", "1.5", True)),
        ({"thread_pools": []}, ("thread pools", "openblas", "none", True)),
        (
            {"packages": {"numpy": "2.0.0", "PIL": "13.0.0"}},
            ("numpy", "2.4.6", "2.0.0", True),
        ),
        ({"packages": {"numpy": "2.4.6"}}, ("PIL", "13.0.0", "not installed", False)),
    ],
)
def test_a_difference_in_peoples_words(
    changed: dict[str, object], expected: tuple[object, ...]
) -> None:
    """What it is, both values, and whether it can change the speed."""
    assert apart(**changed) == [expected]


@pytest.mark.parametrize(
    "changed",
    [
        {"foreign_load": 0.3},
        {"memory_gib": 31.3},
        {"memory_gib": None},
        {"thread_pools": [{"library": "openblas", "file": "libopenblas-2.so"}]},
    ],
)
def test_what_is_no_difference(changed: dict[str, object]) -> None:
    """Less than chance, another build's file name, or a fact that nobody knows."""
    assert apart(**changed) == []


def test_what_can_change_the_speed_comes_first() -> None:
    """Of several differences, in the order of the facts within each part."""
    found = apart(interpreter="/a", debottleneck="9", cores=1, python="3.14.0")
    assert [what for what, *_ in found] == [
        "cores",
        "Python",
        "interpreter",
        "debottleneck",
    ]
