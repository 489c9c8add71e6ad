"""A module whose import fails inside a stage."""


def load():
    raise RuntimeError("while importing")


load()
