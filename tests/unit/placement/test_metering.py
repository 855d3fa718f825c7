"""What clusters have used outlives the agent that counted it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsql.control.layout import Layout
from dsql.transaction.usage import Usage
from placement.metering import SAVE_SECONDS, Metering, saved

CLUSTER = "c" * 26


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.cluster(CLUSTER).mkdir(parents=True)
    return made


def transactions(account: Any) -> Any:
    return None if account is None else account["transactions"]


async def test_counts_go_on_in_the_next_agent_and_all_agents_are_added_up(layout: Layout) -> None:
    for name in ("agent", "agent", "agent-2"):
        metering = Metering(layout, name)
        metering.add(CLUSTER, Usage(transactions=5, bytes_read=100))
        described = metering.describe()[CLUSTER]
        await metering.close()
    assert described["transactions"] == 5
    account = saved(layout, CLUSTER)
    assert transactions(account) == 15
    assert account is not None
    assert account["read_dpu"] == pytest.approx(15 * 2_048 * 0.00000183105)


async def test_counts_are_written_now_and_then(layout: Layout) -> None:
    metering = Metering(layout, "agent")
    for now in (100.0, 100.0 + SAVE_SECONDS / 2, 101.0 + SAVE_SECONDS):
        metering.add(CLUSTER, Usage(transactions=1))
        metering.tick(now)
        assert metering._saving is not None
        await metering._saving
    assert transactions(saved(layout, CLUSTER)) == 3
    assert metering._changed == set()


async def test_file_that_cannot_be_read_begins_anew(layout: Layout) -> None:
    layout.usage(CLUSTER, "agent").write_bytes(b"{")
    assert saved(layout, CLUSTER) is None
    metering = Metering(layout, "agent")
    metering.add(CLUSTER, Usage(transactions=1))
    await metering.close()
    assert transactions(saved(layout, CLUSTER)) == 1


async def test_cluster_that_is_gone_is_forgotten(layout: Layout) -> None:
    metering = Metering(layout, "agent")
    metering.add(CLUSTER, Usage(transactions=1))
    layout.cluster(CLUSTER).rmdir()
    await metering.close()
    assert metering.describe() == {}
    assert not layout.cluster(CLUSTER).exists()
