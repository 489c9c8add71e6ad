"""End in the way the argument names."""

import os
import sys

WAYS = {
    "text": lambda: sys.exit("a sentence, für stderr"),
    "zero": lambda: sys.exit(0),
    "three": lambda: sys.exit(3),
    "none": lambda: sys.exit(),
    "true": lambda: sys.exit(True),
    "big": lambda: sys.exit(256 + 7),
    "negative": lambda: sys.exit(-1),
    "object": lambda: sys.exit(["a", 1]),
    "hard": lambda: os._exit(5),
    "end": lambda: None,
}


def load(way):
    """Exits pass through a stage."""
    return WAYS[way]()


print("before", flush=True)
load(sys.argv[1])
print("after")
