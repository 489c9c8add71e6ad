"""Fail in the way the argument names, through functions named like stages."""

import sys

import fail_helper


class BatchError(Exception):
    """Raised by the script itself."""


def load(depth):
    if depth:
        return load(depth - 1)
    raise BatchError("no batch left")


class Model:
    """A model whose forward fails."""

    def forward(self, batch):
        return batch / 0

    @staticmethod
    def loss(value):
        return Model().forward(value) + 1


def batches():
    yield 1
    raise KeyError("generator")


def load_batch():
    for batch in batches():
        print("batch", batch, flush=True)


def chained():
    try:
        Model.loss(1)
    except ZeroDivisionError as error:
        raise BatchError("chained") from error


def during():
    try:
        load(2)
    except BatchError:
        Model.loss(2)


def silenced():
    try:
        load(0)
    except BatchError:
        raise BatchError("alone") from None


def grouped():
    errors = []
    for function in (chained, lambda: load(1)):
        try:
            function()
        except BatchError as error:
            error.add_note("seen by the group")
            errors.append(error)
    raise ExceptionGroup("two", errors)


def caught():
    import traceback

    try:
        fail_helper.forward(lambda: load(1))
    except BatchError:
        names = [f.name for f in traceback.extract_tb(sys.exc_info()[2])]
        print("frames", next(name for name in names if name != "<lambda>"))


def unprintable():
    class Odd(Exception):
        def __str__(self):
            raise ValueError("no words")

    raise Odd


def interrupted():
    raise KeyboardInterrupt


def update():
    class Left:
        def __del__(self):
            raise BatchError("while deleting")

    Left()
    print("survived", flush=True)


WAYS = {
    "plain": lambda: load(2),
    "method": lambda: Model.loss(1),
    "generator": load_batch,
    "chained": chained,
    "during": during,
    "silenced": silenced,
    "grouped": grouped,
    "imported": lambda: fail_helper.forward(lambda: load(0)),
    "caught": caught,
    "unprintable": unprintable,
    "interrupted": interrupted,
    "deleting": update,
    "import": lambda: __import__("fail_on_import"),
    "missing": lambda: __import__("not_there_at_all"),
}

WAYS[sys.argv[1]]()
