"""How many threads to spread work over."""

import os

MAX_THREADS = 4  # each keeps copies of what it works on: more would not stay within the memory budget


def thread_count() -> int:
    """The cores this process may use, at most 4."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_THREADS, cores)
