def load_broken():
    raise OSError("broken", *[1]) from ValueError("cause")
