"""What the control plane waits for when a cluster is made."""

from __future__ import annotations

import asyncio

import pytest

from control_plane.zones import _most


async def says(answer: bool, after: float = 0.0) -> bool:
    await asyncio.sleep(after)
    return answer


@pytest.mark.parametrize("answers", [(True, True, False), (False, True, True), (True,)])
async def test_most_zones_are_enough(answers: tuple[bool, ...]) -> None:
    assert await _most([says(answer) for answer in answers])


@pytest.mark.parametrize("answers", [(True, False, False), (False,)])
async def test_fewer_are_not(answers: tuple[bool, ...]) -> None:
    assert not await _most([says(answer) for answer in answers])


async def test_a_zone_that_hangs_is_not_waited_for() -> None:
    async with asyncio.timeout(10):
        assert await _most([says(True), says(True, 600), says(True)])
