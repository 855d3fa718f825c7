from pathlib import Path

from relay.cancel_key import CancelKeys


def test_all_relays_of_an_installation_know_each_others_keys(tmp_path: Path) -> None:
    first, second = CancelKeys(tmp_path / "key"), CancelKeys(tmp_path / "key")
    for process_id in (1, 4711, 0xFFFFFFFF):
        key = first.make(process_id)
        assert 0 <= key < 1 << 32
        assert second.knows(process_id, key)
        assert not second.knows(process_id ^ 1, key)


def test_strange_keys_are_not_known(tmp_path: Path) -> None:
    keys, others = CancelKeys(tmp_path / "key"), CancelKeys(tmp_path / "others")
    assert sum(keys.knows(7, others.make(7)) for _ in range(200)) < 5
    assert sum(keys.knows(7, number * 2_654_435_761 % 2**32) for number in range(2_000)) < 5


def test_two_sessions_with_one_process_id_have_different_keys(tmp_path: Path) -> None:
    keys = CancelKeys(tmp_path / "key")
    assert len({keys.make(7) for _ in range(100)}) > 80


def test_the_secret_is_its_owners_only(tmp_path: Path) -> None:
    CancelKeys(tmp_path / "key")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
