"""How many threads to spread work over."""

import functools
import os
from concurrent.futures import ThreadPoolExecutor

MAX_THREADS = 4  # each keeps copies of what it works on: more would not stay within the memory budget


def thread_count() -> int:
    """The cores this process may use, at most 4."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MAX_THREADS, cores)


@functools.cache
def thread_pool() -> ThreadPoolExecutor:
    """Threads for work that is not nested, the same for the whole process.

    glibc keeps freed memory for the thread that freed it: with new threads for every piece of work `expand` took 600 MB more.
    """
    return ThreadPoolExecutor(thread_count(), "lookalike")
