"""Lives inside the profiled process; standard library and yappi only."""
