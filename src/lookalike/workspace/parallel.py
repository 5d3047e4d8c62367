"""How many threads to spread work over."""

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

_of_thread = threading.local()

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
    return ThreadPoolExecutor(thread_count(), "lookalike", _enter_pool)


def in_pool() -> bool:
    """Whether the current thread is one of the pool's. It must not wait for others of them."""
    return getattr(_of_thread, "in_pool", False)


def _enter_pool() -> None:
    _of_thread.in_pool = True
