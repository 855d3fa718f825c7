from __future__ import annotations

import mmap
import os
import platform
from collections.abc import Callable

import pytest

from dsql.rpc.memory_order import fence, fence_of, membarrier

ROUNDS = 20_000


def test_machine_that_reorders_stores_has_the_kernel_order_them() -> None:
    assert fence_of("aarch64") is membarrier
    membarrier()


def test_machine_that_keeps_the_order_pays_nothing() -> None:
    assert fence_of("x86_64") is not membarrier


def test_machine_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ImportError, match="riscv64"):
        fence_of("riscv64")


def test_readers_see_stores_in_their_order_on_this_machine(
    record_property: Callable[[str, object], None],
) -> None:
    """Data, fence, publication: as boards and the clock are written. The report names the machine."""
    record_property("machine", platform.machine())
    shared = mmap.mmap(-1, 4096)
    words = memoryview(shared).cast("Q")
    data, published = 0, 256  # not in one cache line
    rounds = ROUNDS if fence is not membarrier else ROUNDS // 100  # there it takes milliseconds
    writer = os.fork()
    if not writer:
        for number in range(1, rounds + 1):
            words[data] = number
            fence()
            words[published] = number
        os._exit(0)
    seen = 0
    while seen < rounds:
        seen = words[published]
        assert words[data] >= seen
    assert os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == 0
