import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.admission import Admission, source_of


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_ipv6_addresses_of_one_network_are_one_source(host: str, source: str) -> None:
    assert source_of(host) == source


def test_the_slowest_of_the_same_address_gives_way_first() -> None:
    admission: Admission[int] = Admission(total_max=10, per_source_max=2)
    assert admission.enter(0, "other") is None
    assert admission.enter(1, "a") is None
    assert admission.enter(2, "a") is None
    assert admission.enter(3, "a") == 1
    assert admission.enter(4, "a") == 2


def test_the_slowest_of_all_gives_way_when_all_places_are_taken() -> None:
    admission: Admission[int] = Admission(total_max=2, per_source_max=2)
    admission.enter(1, "a")
    admission.enter(2, "b")
    assert admission.enter(3, "c") == 1
    admission.leave(2)
    assert admission.enter(4, "d") is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.sampled_from("abc")), max_size=200))
def test_limits_hold_and_newcomers_always_get_in(steps) -> None:
    admission: Admission[int] = Admission(total_max=5, per_source_max=3)
    inside: dict[int, str] = {}
    for enters, login, source in steps:
        if enters and login not in inside:
            loser = admission.enter(login, source)
            if loser is not None:
                full = list(inside.values()).count(source) >= 3
                mates = [who for who, where in inside.items() if where == source or not full]
                assert loser == mates[0]
                del inside[loser]
            inside[login] = source
        elif not enters:
            admission.leave(login)
            inside.pop(login, None)
        assert len(admission) == len(inside) <= 5
        assert all(list(inside.values()).count(name) <= 3 for name in "abc")
