"""Defaults that depend on the machine."""

import os

import pytest

from splade_lucene.defaults import thread_count


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux gives a process some of the cores")
def test_there_are_as_many_threads_as_cores_that_the_process_may_use():
    cores = os.sched_getaffinity(0)
    assert thread_count() == len(cores)
    try:
        os.sched_setaffinity(0, {min(cores)})
        assert thread_count() == 1
    finally:
        os.sched_setaffinity(0, cores)
    assert thread_count(3) == 3
