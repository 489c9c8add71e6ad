"""What the scripts of this folder share: a line for each behaviour."""

import sys


def say(name, function):
    """Print `name: value`; an error's kind and words where it raises."""
    try:
        value = function()
    except BaseException as error:
        value = f"{type(error).__name__}: {error}"
    print(f"{name}: {value!r}")
    sys.stdout.flush()


def depth(function):
    """How many nested calls succeed, in per cent of the limit, to five."""
    count = 1
    try:
        while True:
            function(count)
            count += 1
    except RecursionError:
        return round(20 * count / sys.getrecursionlimit()) * 5
