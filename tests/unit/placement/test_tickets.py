from __future__ import annotations

import pytest

from placement import tickets as module
from placement.tickets import TICKET_SECONDS, Tickets

RELAY, OTHER = object(), object()


def issued(tickets: Tickets[str]) -> bytes:
    ticket = tickets.issue(RELAY, 0.0)
    assert ticket is not None
    return ticket


@pytest.mark.parametrize("client_first", [True, False])
def test_a_session_and_its_connection_find_each_other(client_first: bool) -> None:
    tickets: Tickets[str] = Tickets()
    ticket = issued(tickets)
    taken: list[str | None] = []
    acts = [
        lambda: tickets.show(ticket, "client"),
        lambda: tickets.claim(ticket, RELAY, taken.append),
    ]
    for act in acts if client_first else reversed(acts):
        assert not taken
        assert act()
    assert taken == ["client"]
    assert not len(tickets)


def test_a_ticket_is_good_once() -> None:
    tickets: Tickets[str] = Tickets()
    ticket = issued(tickets)
    assert tickets.show(ticket, "client")
    assert not tickets.show(ticket, "another")
    assert tickets.claim(ticket, RELAY, lambda _: None)
    assert not tickets.show(ticket, "late")
    assert not tickets.claim(ticket, RELAY, lambda _: None)


def test_a_ticket_is_its_relays() -> None:
    tickets: Tickets[str] = Tickets()
    ticket = issued(tickets)
    assert not tickets.claim(ticket, OTHER, lambda _: None)
    assert list(tickets.withdraw(OTHER)) == []
    assert len(tickets) == 1


def test_what_does_not_come_together_in_time_is_given_up() -> None:
    tickets: Tickets[str] = Tickets()
    shown, claimed = issued(tickets), issued(tickets)
    told: list[str | None] = []
    tickets.show(shown, "client")
    tickets.claim(claimed, RELAY, told.append)
    assert list(tickets.overdue(TICKET_SECONDS - 1)) == []
    assert list(tickets.overdue(TICKET_SECONDS)) == ["client"]
    assert told == [None]
    assert not len(tickets)


def test_a_relay_that_goes_leaves_nothing_behind() -> None:
    tickets: Tickets[str] = Tickets()
    tickets.show(issued(tickets), "client")
    issued(tickets)
    assert list(tickets.withdraw(RELAY)) == ["client"]
    assert not len(tickets)


def test_tickets_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TICKETS_MAX", 2)
    tickets: Tickets[str] = Tickets()
    first = issued(tickets)
    issued(tickets)
    assert tickets.issue(RELAY, 0.0) is None
    tickets.show(first, "client")
    tickets.claim(first, RELAY, lambda _: None)
    assert tickets.issue(RELAY, 0.0) is not None
