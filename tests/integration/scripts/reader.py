"""Echo standard input, line by line and then whole, to both outputs."""

import sys


def load():
    return sys.stdin.readline()


print("first", repr(load()))
print("second", repr(input("prompt ")))
print("rest", repr(sys.stdin.read()), sys.stdin.buffer.read())
sys.stderr.write("to stderr without newline")
