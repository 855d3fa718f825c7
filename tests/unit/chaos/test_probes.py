"""The probes notice what no correct server shows, and take nothing else for it."""

from __future__ import annotations

import pytest

from dsql.chaos.probes import Probes
from dsql.health.connection import Door, Row, ServerError


class Shown:
    """A session whose row shows this number, or that is without the row."""

    def __init__(self, number: int | None) -> None:
        self._number = number

    async def query(self, text: str) -> list[Row]:
        if not text.startswith("select"):
            return []
        return [] if self._number is None else [(str(self._number),)]


@pytest.fixture
async def probes() -> Probes:
    """Five numbers were tried, and acknowledged."""

    def make_door() -> Door:
        raise AssertionError

    made = Probes(make_door, "t")
    for _ in range(5):
        await made._commit(Shown(0))  # type: ignore[arg-type]
    return made


async def read(probes: Probes, *numbers: int | None) -> list[str]:
    for number in numbers:
        await probes._read(Shown(number))  # type: ignore[arg-type]
    return probes.violations


async def test_what_was_acknowledged_is_seen(probes: Probes) -> None:
    assert await read(probes, 5) == []


@pytest.mark.parametrize("number", [4, 6, None])
async def test_a_number_that_is_lost_or_was_never_written_is_told(
    probes: Probes, number: int | None
) -> None:
    assert len(await read(probes, number)) == 1


async def test_a_commit_of_unknown_outcome_may_be_seen_or_not_but_not_go_away(
    probes: Probes,
) -> None:
    probes._tried += 1  # its answer was lost
    assert await read(probes, 5, 6, 6) == []
    assert await read(probes, 5) == ["read 5 after 6 had been acknowledged or read"]


@pytest.mark.parametrize("sqlstate", ["40001", "40003", "08007", "57P01", "57P03"])
async def test_errors_of_dying_servers_are_expected(probes: Probes, sqlstate: str) -> None:
    probes._note("commits", ServerError(sqlstate, "m"))
    assert (probes.violations, probes.errors[f"commits: {sqlstate}"]) == ([], 1)


@pytest.mark.parametrize("sqlstate", ["XX000", "58000", "42P01", "53100"])
async def test_other_errors_are_violations(probes: Probes, sqlstate: str) -> None:
    probes._note("commits", ServerError(sqlstate, "m"))
    assert len(probes.violations) == 1


async def test_a_full_disk_is_expected_while_there_is_no_room(probes: Probes) -> None:
    probes.room_expected = False
    probes._note("commits", ServerError("53100", "m"))
    assert probes.violations == []
