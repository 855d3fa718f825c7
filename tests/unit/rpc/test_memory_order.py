from __future__ import annotations

import pytest

from dsql.rpc.memory_order import fence_of, membarrier


def test_machine_that_reorders_stores_has_the_kernel_order_them() -> None:
    assert fence_of("aarch64") is membarrier
    membarrier()


def test_machine_that_keeps_the_order_pays_nothing() -> None:
    assert fence_of("x86_64") is not membarrier


def test_machine_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ImportError, match="riscv64"):
        fence_of("riscv64")
