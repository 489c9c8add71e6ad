"""What leaves the house: no folder, argument, peer or line of source, in any format."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import comparisons
import pandas as pd
import portable
import pytest
from depth import cases
from hypothesis import given, settings
from hypothesis import strategies as st
from made_plans import recorded
from made_rows import Script
from made_runs import MS, PID, loop_words, marks, running, table, threads, wait, waits

from debottleneck.analysis.analyse import analyse
from debottleneck.prediction.verdict import judged
from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.loop import CODE
from debottleneck.recording.machine import Machine
from debottleneck.recording.own import is_users_own
from debottleneck.recording.recording import Facts, NotMeasured, Recording
from debottleneck.recording.spool import FRAME_FILE
from debottleneck.report import FORMATS, redact, render, render_comparison
from debottleneck.report.redacted_texts import HOME, Redactor, place
from debottleneck.report.words.comparison import labels
from debottleneck.strategies.rewriting.plan import Plan, Reason
from debottleneck.strategies.spec import PREFETCH
from debottleneck.trials import result
from debottleneck.trials.result import Comparison
from debottleneck.trials.sides import Side, Sides, read

STEPS, STEP_MS, PROFILED = 60, 40, 45
"""Steps of the made run; from PROFILED on py-spy and yappi are at work."""

MACHINE = Machine(cores=2.0, wake_ns=4e4, measured="2026-11-01T09:00:00+00:00")

LIBRARIES = "lib/python3.11/site-packages"


@dataclass(frozen=True)
class House:
    """Where a run took place, and what should not leave it."""

    folder: str = "/home/zq1qz/client's zq2qz"
    python: str = "/opt/zq3qz/bin/python"
    argument: str = "--data=s3://zq4qz.example/zq5qz set"
    peer: str = "10.97.31.4:9431"
    file: str = "/mnt/zq6qz/shard 7.bin"
    source: str = "    key = 'zq7qz'"
    thread: str = "reader /mnt/zq6qz"

    @property
    def script(self) -> str:
        """The user's script, in a folder of its own."""
        return f"{self.folder}/zq8qz/train.py"


def run_of(house: House) -> Recording:
    """A loop that waits for a peer and a file, looked at by every instrument."""
    own, other = house.script, f"{house.folder}/zq8qz/zq9qz/train.py"
    library = f"{house.python.removesuffix('/bin/python')}/{LIBRARIES}/numpy/core/a.py"
    ours = f"{house.folder}/venv/debottleneck/agent/bootstrap.py"
    stack = [
        ("main", ours, 9),
        ("<module>", own, 80),
        ("[stage load]", FRAME_FILE, 99),
        ("odd", f"{house.folder}/zq10qz/odd.py", 1),
        ("load_fn", other, 12),
        ("mean", library, 7),
        ("decode", "/usr/lib/python3.11/json/decoder.py", 353),
    ]
    begun = PROFILED * STEP_MS
    sampled = [
        ("stacks", PID, PID, (begun + at) * MS, (begun + at + 10) * MS, 10 * MS, 0)
        for at in range(0, 300, 10)
    ]
    called = ("load_fn", other, 12, 40, 9 * MS, 30 * MS)
    functions = [(c, PID, "MainThread", *called) for c in ("wall", "cpu")]
    ended = (begun + 300) * MS
    blocks = [("stacks", begun * MS, ended)]
    blocks += [(f"functions-{c}", ended, ended + 40 * MS) for c in ("wall", "cpu")]
    details = [(0, "", ""), (1, "read", house.file), (2, "read", f"{house.file}.idx")]
    details += [(3, "recvfrom", house.peer), (4, "read", "pipe"), (5, "futex", "")]
    sites = [(PID, CODE["load"], "load", "load_fn", other, 12, "function")]
    sites += [(PID, CODE["forward"], "forward", "forward_fn", own, 40, "function")]
    return Recording.of(
        facts_of(house),
        {
            "sites": table("sites", sites),
            "threads": threads((PID, "MainThread"), (PID + 1, house.thread)),
            "marks": marks(
                {PID: loop_words(STEPS, {"load": (30, 5), "forward": (10, 10)})}
            ),
            "waits": waits(list(ticks())),
            "details": table("details", details),
            "blocks": table("blocks", blocks),
            "stacks": table("stacks", sampled),
            "frames": table("frames", [(0, d, *f) for d, f in enumerate(stack)]),
            "functions": table("functions", functions),
            "sources": table("sources", [(other, 12, house.source)]),
            "bursts": table("bursts", [(PID, 100 * MS, MS, 20, 3)]),
        },
    )


def facts_of(house: House) -> Facts:
    """The facts of the run, with texts that name what should not be named."""
    reason = f"line 12 reads {house.file}"
    plan = Plan(PREFETCH, house.script, 12, reason=Reason(reason))
    why = f"{house.file} from {house.peer}: see {house.folder}/logs or {house.argument}"
    return Facts(
        command=(house.script, "--lr", "0.1", house.argument),
        script=house.script,
        directory=house.folder,
        created="2026-11-01T10:00:00+00:00",
        start_ns=0,
        end_ns=STEPS * STEP_MS * MS,
        pid=PID,
        main_tid=PID,
        plans=(recorded(plan),),
        options={"warmup": 2, "rate": 200.0, "include": [f"{house.folder}/*"]},
        environment={
            "cores": 2,
            "python": "3.11.7",
            "interpreter": house.python,
            "hostname": "zq11qz",
            "thread_variables": {"OMP_NUM_THREADS": "2"},
        },
        partial=True,
        partial_why=why,
        machine=MACHINE.as_dict(),
        beginning=((house.script, 12, house.source, 9000),),
        not_measured=(NotMeasured("a thing", why, why),),
    )


def ticks() -> list[tuple[int, ...]]:
    """Each step: 15 ms for the peer, 10 ms for either file, then on a core."""
    rows = []
    for at in range(0, STEPS * STEP_MS, STEP_MS):
        rows += [wait(at + i, at + i + 5, "network", detail=3) for i in (0, 5, 10)]
        rows += [wait(at + 15, at + 20, "disk", detail=1)]
        rows += [wait(at + 20, at + 25, "disk", detail=2)]
        rows += [running(at + i, at + i + 5) for i in (25, 30, 35)]
        rows += [wait(at, at + 40, "lock", tid=PID + 1, detail=5)]
    return rows


SECRETS = [f"zq{number}qz" for number in range(1, 12)]


def leaks(content: str | bytes, house: House) -> list[str]:
    """What of the house is to be read in it; a port within a number is chance."""
    text = content if isinstance(content, str) else content.decode("latin-1")
    found = [word for word in (*SECRETS, house.peer, "--lr") if word in text]
    return [*found, *({"9431"} & set(re.findall(r"(?<![\d.])\d+(?!\d)", text)))]


@pytest.mark.parametrize("format", list(FORMATS))
def test_nothing_of_the_house_is_in_any_format(format: str) -> None:
    """But it is in the same format of the recording as it was made."""
    house = House()
    made = run_of(house)
    assert leaks(render(analyse(made), format), house)
    analysis = judged(analyse(redact.recording(made)))
    content = render(analysis, format)
    assert leaks(content, house) == []
    name = "train.py" if isinstance(content, str) else b"train.py"
    assert name in content


def everything(recording: Recording) -> str:
    """Every text of a recording."""
    texts = [str(recording.facts)]
    for name in COLUMNS:
        table = getattr(recording, name).select_dtypes(exclude="number")
        texts.append(table.drop_duplicates().to_csv())
    return "\n".join(texts)


def test_thread_names_are_texts() -> None:
    """A thread named after an argument or a home's owner is not told either."""
    house = House(folder="/home/anna/x", argument="berlin", thread="berlin for anna")
    names = redact.recording(run_of(house)).threads["name"].tolist()
    assert names == ["MainThread", "(an argument) for (an argument)"]


def test_nothing_of_the_house_is_in_the_recording() -> None:
    """Not in any table or fact either, whatever may come to be shown."""
    made = run_of(House())
    clean = redact.recording(made)
    known = {*SECRETS, "10.97.31.4:9431", "9431", "--lr"}
    assert set(leaks(everything(made), House())) == known
    assert leaks(everything(clean), House()) == []
    assert clean.sources.empty
    assert clean.path is None


ODD = st.text(st.sampled_from("ab é.-_'&<\"(;,#%+"), max_size=4)


@st.composite
def houses(draw: st.DrawFn) -> House:
    """A house whose names have all kinds of characters around their secrets."""
    word = (f"{draw(ODD)}zq{number}qz{draw(ODD)}" for number in range(1, 8))
    numbers = st.integers(1, 255)
    return House(
        folder=f"/home/{next(word)}/{next(word)}",
        python=f"/opt/{next(word)}/bin/python",
        argument=draw(st.sampled_from(["--to={}", "{}", "-x{}"])).format(next(word)),
        peer=f"10.97.{draw(numbers)}.{draw(numbers)}:9431",
        file=f"/mnt/{next(word)}/shard.bin",
        source=next(word),
        thread=f"reader of /mnt/{next(word)}",
    )


@given(houses())
@settings(max_examples=cases(40))
def test_whatever_the_house_is_called(house: House) -> None:
    """Spaces, quotes and brackets in names let none of them through."""
    assert leaks(everything(redact.recording(run_of(house))), house) == []


FOLDER = House().folder
STRATEGY = "debottleneck/strategies/rewriting/install.py"
CHANGES = {
    "redacted": redact.recording,
    "portable": lambda made: portable.recording(made, (FOLDER,)),
}


@pytest.mark.parametrize("change", list(CHANGES))
def test_the_analysis_is_the_same(change: str) -> None:
    """Stages, causes, findings and lines do not depend on where the script lay."""
    made = run_of(House())
    before, after = analyse(made), analyse(CHANGES[change](made))
    assert "load_fn" in set(before.lines.function)
    findings, others = (
        [(f.kind, f.stage, f.cause, f.share, len(f.where)) for f in analysis.findings]
        for analysis in (before, after)
    )
    assert findings == others != []
    assert before.loop == after.loop
    places = ["file", "holder_file"]
    names = ("steps", "stages", "causes", "instruments")
    for name in (*names, "lines", "flame", "functions", "gil_waits"):
        one, other = (
            getattr(analysis, name).drop(columns=places, errors="ignore")
            for analysis in (before, after)
        )
        pd.testing.assert_frame_equal(one, other)


def place_of_script(clean: Recording) -> str:
    """What the script is called in a copy."""
    return f"{HOME}/{clean.facts.script}"


def test_predictions_are_the_same() -> None:
    """They are made after the redaction: plans keep their places, prices stay."""
    made = run_of(House())
    clean = redact.recording(made)
    assert clean.facts.machine == MACHINE.as_dict()
    (plan,) = clean.facts.plans
    assert plan["file"] == place_of_script(clean)
    assert plan["reason"] == "line 12 reads a file"
    assert len(clean.bursts) == 1
    before, after = (judged(analyse(run)) for run in (made, clean))
    assert before.predictions is not None
    assert before.predictions == after.predictions


def test_own_files_keep_their_names_apart() -> None:
    """Two files of one name stay two; libraries keep what follows site-packages."""
    clean = redact.recording(run_of(House()))
    files = {
        "site-packages/debottleneck/agent/bootstrap.py": False,
        f"{HOME}/train.py": True,
        FRAME_FILE: False,
        f"{HOME}/odd.py": True,
        f"{HOME}/train.py (2)": True,
        "site-packages/numpy/core/a.py": False,
        "lib/python3.11/json/decoder.py": False,
    }
    assert {f: is_users_own(f) for f in clean.frames.file} == files


def test_waits_are_told_by_kind() -> None:
    """Both files are one entry; the system call and the time stay."""
    made = run_of(House())
    clean = redact.recording(made)
    assert list(clean.details.itertuples(index=False, name=None)) == [
        (0, "", ""),
        (1, "read", "a file"),
        (2, "recvfrom", "a peer"),
        (3, "read", "pipe"),
        (4, "futex", ""),
    ]
    before, after = (analyse(run).waited_on for run in (made, clean))
    pd.testing.assert_series_equal(
        *(
            table.groupby(["stage", "cause", "syscall"]).ms_per_step.sum()
            for table in (before, after)
        )
    )
    assert len(after) < len(before)


def test_portable_keeps_all_but_the_machine() -> None:
    """Paths start at the root; arguments, peers and source lines stay."""
    house = House()
    moved = portable.recording(run_of(house), (FOLDER,))
    assert moved.facts.script == "zq8qz/train.py"
    assert moved.facts.command == ("zq8qz/train.py", "--lr", "0.1", house.argument)
    assert moved.facts.environment["interpreter"] == "python"
    assert set(moved.sources.file) == {"zq8qz/zq9qz/train.py"}
    assert list(moved.sources.text) == [house.source]
    assert house.peer in set(moved.details.what)
    shown = render(analyse(moved), "json")
    assert not [word for word in ("/home", "zq1qz", "zq3qz", "/mnt") if word in shown]


FAILURE = "ended with exit code 1 (KeyError: 'zq4qz'); its output: /home/zq1qz/1.log"


def compared(house: House) -> Comparison:
    """A comparison with a failed trial, in that house."""
    base = comparisons.faster()
    command = (house.script, "--lr", "0.1", house.argument)
    failed = comparisons.trial("parallel-update", result.FAILED, numbers="unverified")
    trials = (*base.trials, replace(failed, why=FAILURE))
    lead = ["bottleneck", "run", "--include", f"{house.folder}/*"]
    lead += ["--strategy", base.best]
    return replace(
        base,
        command=command,
        trials=trials,
        run=shlex.join([*lead, *command]),
        notes=(f"a plain trial failed: {FAILURE}",),
        keep=(f"# from {house.script} in {Path(house.script).parent}", *base.keep),
        environment=dict(facts_of(house).environment),
        folder=Path(house.folder) / "runs",
        before=Path(house.folder) / "runs/baseline",
    )


@pytest.mark.parametrize("format", ["text", "json", "html"])
def test_nothing_of_the_house_is_in_a_comparison(format: str) -> None:
    """Rows, notes and the command lose it; so does why a recording cannot be shown."""
    house = House()
    made = compared(house)
    shown = read(made, labels(made))
    assert leaks(render_comparison(made, format, shown), house)
    clean = redact.comparison(made)
    content = render_comparison(clean, format, redact.sides(shown, made))
    assert leaks(content, house) == []
    assert "prefetch:workers=4,depth=8" in content
    assert "for batch in" not in content


def test_the_command_of_a_comparison_keeps_what_is_ours() -> None:
    """Its options of ours stay, the script is named, its arguments are not."""
    clean = redact.comparison(compared(House()))
    assert clean.run == (
        "bottleneck run --strategy prefetch:workers=4,depth=8 train.py "
        "(arguments left out)"
    )
    assert clean.trials[-1].why == "ended with exit code 1"
    assert clean.keep == ()  # they are the user's own lines
    assert clean.environment["thread_variables"] == {"OMP_NUM_THREADS": "2"}


def test_a_portable_comparison_keeps_its_arguments() -> None:
    """Only the machine's own part of a path goes; what has none stays as it is."""
    house = House(argument="--data=small")
    moved = portable.comparison(compared(house), (FOLDER,))
    assert moved.command == ("zq8qz/train.py", "--lr", "0.1", "--data=small")
    assert (moved.before, moved.folder) == (Path("baseline"), None)
    assert portable.comparison(moved, ("/home/ada/project",)) == moved
    assert redact.comparison(moved).command == ("train.py", "(arguments left out)")


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("read /etc/x failed", "read (a path)"),
        ("see /proc/12/syscall", "see /proc/12/syscall"),
        ("see ~/x/y.py:3", "see (a path)"),
        ("and/or, 3/4 of it", "and/or, 3/4 of it"),
        ("from http://a.example/b?c=d now", "from (an address) now"),
        ("to 10.0.0.7:9000", "to (an address)"),
        (
            "in /v/lib/python3.11/site-packages/numpy/a.py",
            "in site-packages/numpy/a.py",
        ),
        ("mode secret of 300", "mode (an argument) of 300"),
        ("in /my house/a b.py, line 3", f"in {HOME}/a b.py, line 3"),
        ("<lambda> (x < 3)", "<lambda> (x < 3)"),
    ],
)
def test_sentences_lose_paths_addresses_and_arguments(said: str, left: str) -> None:
    """Words of ours and numbers stay."""
    names = {"/my house/a b.py": f"{HOME}/a b.py"}
    assert Redactor(names, ("--mode=secret", "300")).text(said) == left


@pytest.mark.parametrize(
    ("file", "own", "called"),
    [
        ("", False, ""),
        ("<string>", False, "<string>"),
        ("/a/train.py", True, f"{HOME}/train.py"),
        ("/a/train.py", False, "train.py"),
        ("/a/dist-packages/b/c.py", False, "site-packages/b/c.py"),
        ("/a/lib/python3.12/b.py", False, "lib/python3.12/b.py"),
        ("/a/debottleneck/agent/b.py", False, "site-packages/debottleneck/agent/b.py"),
        (f"/a/{STRATEGY}", False, f"site-packages/{STRATEGY}"),
    ],
)
def test_what_a_file_is_called(file: str, own: bool, called: str) -> None:
    """By its own name, or by what follows the libraries' folder."""
    assert place(file, own) == called


def test_recordings_that_are_told_apart_by_folders_get_numbers() -> None:
    """A name that is no path stays, in the rows, the notes and beside the figures."""
    base = comparisons.nothing()
    one, other = base.trials
    made = replace(
        base,
        trials=(replace(one, spec="zq1qz/run", strategy="zq1qz/run"), other),
        notes=("only 9 quiet steps of zq1qz/run were measured",),
        recorded=True,
        baseline="zq2qz/run",
    )
    clean = redact.comparison(made)
    assert (clean.baseline, clean.trials[0].spec) == ("recording 1", "recording 2")
    assert clean.trials[0].strategy == "recording 2"
    assert clean.trials[1].spec == other.spec
    assert clean.notes == ("only 9 quiet steps of recording 2 were measured",)
    side = Side("after", "zq1qz/run", analyse(run_of(House())))
    gaps = ("zq1qz/run cannot be shown: it is gone",)
    shown = redact.sides(Sides((side,), gaps), made)
    assert shown.gaps == ("recording 2 cannot be shown: it is gone",)
    assert shown.sides[0].label == "recording 2"


def test_statements_and_headers_are_source_and_are_left_out() -> None:
    """Rows keep their places; what is written there is not told."""
    made = Script()
    for _ in range(4):
        made.turn()
        made.line(12, "secret = read('/mnt/zq1qz')", 5)
        made.leave(made.enter("Net.train", 60, 70))
    clean = redact.recording(made.recording())
    assert clean.sites["name"].tolist() == ["", "", "Net.train"]
    assert set(analyse(clean).rows["row"]) == {"train.py:12"}
