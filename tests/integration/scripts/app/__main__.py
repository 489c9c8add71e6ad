"""Run as `python app`."""

import sys

import beside

print(__name__, repr(__package__), __spec__.name, __spec__.origin == __file__)
print(__file__, sys.argv, sys.path[0])
print(type(__loader__).__name__, sorted(dir()))
print(beside.forward(2))
beside.forward(None)
