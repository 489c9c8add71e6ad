"""What can go wrong, said once: what happened and what to do about it."""


class BottleneckError(Exception):
    """A failure the user can act on; `commands.main` prints it and exits with 2.

    Args:
        what: One sentence without a final period: what went wrong.
        remedy: What to do about it, as an instruction.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}; {remedy}" if remedy else what)


class UsageError(BottleneckError):
    """The command line asks for something that cannot be done."""


class RecordingError(BottleneckError):
    """A recording cannot be read or written."""


class StrategyError(BottleneckError):
    """A strategy cannot be applied to this, because the numbers would change."""
