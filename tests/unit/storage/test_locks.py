"""No lock of a reader is one that the writer waits for; and what a writer would suffer if one were."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

# Opens the environment, takes what it can for ever, and says so.
GREEDY = """
import sys, lmdb
environment = lmdb.open(sys.argv[1], max_dbs=16, map_size=1 << 40, create=False, {options})
transaction = environment.begin(write={write})
print("taken", flush=True)
sys.stdin.read()
"""
AS_READER = GREEDY.format(options="readonly=True, lock=False", write=False)
WITH_LOCKS = GREEDY.format(options="lock=True", write=True)


@pytest.mark.parametrize(("reader", "stops"), [(AS_READER, False), (WITH_LOCKS, True)])
def test_a_reader_stops_the_writer_only_if_it_shares_its_locks(
    make_replica: Callable[..., Any], reader: str, stops: bool
) -> None:
    replica = make_replica()
    replica.apply([(b"k", b"1")])
    applied = threading.Event()
    command = [sys.executable, "-c", reader, str(replica.environment.directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"taken\n"
        writer = threading.Thread(target=lambda: (replica.apply([(b"k", b"2")]), applied.set()))
        writer.start()
        # One that is stopped waits for ever; one that is not is done long before this has passed.
        assert applied.wait(0.5 if stops else 60) is not stops
        process.stdin.close()
    writer.join()
    assert applied.is_set(), "the kernel gives a dead owner's lock away"
