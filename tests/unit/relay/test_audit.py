import logging

import pytest

from relay.audit import PER_SOURCE_BURST, TOTAL_BURST, AuditLog, LoginAttempt


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, logger="relay.audit")
    return lambda: [vars(record) for record in caplog.records]


def test_a_flood_from_one_address_leaves_room_for_the_others(lines) -> None:
    audit, attempt = AuditLog(), LoginAttempt("a")
    for _ in range(PER_SOURCE_BURST * 5):
        audit.record(attempt, "a", 0.0, "broken", "why")
    audit.record(LoginAttempt("b"), "b", 0.0, "refused")
    assert len(lines()) == PER_SOURCE_BURST + 1
    assert lines()[-1]["sourceIPAddress"] == "b"
    assert lines()[-1]["suppressed"] == PER_SOURCE_BURST * 4


def test_a_flood_from_everywhere_is_bounded_and_accepted_logins_are_always_written(lines) -> None:
    audit = AuditLog()
    for number in range(TOTAL_BURST * 2):
        audit.record(LoginAttempt(str(number)), str(number), 0.0, "refused")
    for _ in range(50):
        audit.record(LoginAttempt("a"), "a", 0.0, "accepted")
    outcomes = [line["outcome"] for line in lines()]
    assert outcomes == ["refused"] * TOTAL_BURST + ["accepted"] * 50
    assert "suppressed" not in lines()[-1]
