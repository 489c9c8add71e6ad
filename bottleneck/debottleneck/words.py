"""The closed lists of words: stages, causes, roles. Standard library only."""

STEP_STAGES = (
    "load",
    "augment",
    "transfer",
    "forward",
    "loss",
    "backward",
    "update",
)
"""Parts of one training step, in the order in which a loop usually runs them."""

START_OF_WORKERS = "start of workers"
"""A loader's processes are started, and ended, as it does for each epoch."""

BETWEEN_STAGES = ("evaluate", "checkpoint", "log", START_OF_WORKERS)
"""What happens between steps; whatever runs inside them counts as them."""

OTHER = "other"
"""The rest of the step, outside every stage."""

STEP = "step"
"""A function that is a whole step: it bounds steps and is no stage of its own."""

LINE = "line"
"""A statement of the user's code, or a function of theirs that was opened: a part of
the step that no stage names."""

SIDES = ("", "input", "train")
"""What a statement is to the loop: it makes what training uses and needs nothing that
training changes (`input`), or it changes that (`train`); or neither shows."""

STAGES = (*STEP_STAGES, *BETWEEN_STAGES, OTHER)

NAMED = tuple(word for word in STAGES if word not in (OTHER, START_OF_WORKERS))
"""Those that users may mark themselves."""

CAUSES = (
    "python",
    "native",
    "gil",
    "lock",
    "disk",
    "network",
    "ipc",
    "sleep",
    "device",
    "collective",
    "runqueue",
    "throttle",
    "gc",
    "memory",
    "unattributed",
)
"""Why a thread's time passed; DESIGN's table gives each one's reading."""

ON_CORE = ("python", "native", "gc", "memory")
"""Those in which the thread keeps a core busy."""

CAUSE_READINGS = {
    "python": "on a core, holding the GIL",
    "native": "on a core, not holding the GIL (BLAS, decoding, torch kernels)",
    "gil": "waiting for the GIL",
    "lock": "waiting for a lock, queue, condition, join or OpenMP barrier",
    "disk": "reading, writing or syncing a file, or paging one in",
    "network": "waiting on an internet socket",
    "ipc": "waiting on a pipe, FIFO or local socket to another process",
    "sleep": "sleeping on purpose",
    "device": "waiting until an accelerator has computed or copied something",
    "collective": "waiting for the other ranks of a distributed run",
    "runqueue": "ready to run, but no core was free",
    "throttle": "stopped by the CPU quota of a container",
    "gc": "in a collection of Python's garbage collector",
    "memory": "in page faults: fresh memory, or copied after a fork; swapping",
    "unattributed": "none of these could be shown",
}

LOCKS = ("lock", "RLock", "logging")
"""Locks of Python's that somebody holds; the other kinds that a wait may be on are the
class that has to be woken ("Queue"), and the library it waits in ("libgomp.so")."""

LIBRARY = ".so"
"""How a library's name ends."""

ROLES = ("trainer", "loader", "autograd", "pin-memory", "worker", "pool", "other")
"""What a thread is for."""
