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
    good, bad = 0, 2 * sys.getrecursionlimit()
    while bad - good > 1:
        count = (good + bad) // 2
        try:
            function(count)
            good = count
        except RecursionError:
            bad = count
    return round(20 * bad / sys.getrecursionlimit()) * 5
