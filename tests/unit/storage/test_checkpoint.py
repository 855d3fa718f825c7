from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsql.rpc.boot import current_boot
from storage.board import RETIRED
from storage.checkpoint import checkpoints, durable_sequence, open_replica, write_checkpoint
from storage.client import LocalReplica
from storage.environment import ENVIRONMENT, WritableEnvironment

NEXT_BOOT = current_boot() + 1


def crash_machine(replica: Any) -> Path:
    """Leave the environment as a crash would: open for writing under a boot that is over."""
    directory: Path = replica.directory
    state = (directory / "environment" / "state").read_bytes()
    replica.environment.close()
    (directory / "environment" / "state").write_bytes(state)
    return directory


def reopen(directory: Path, *peers: Path, boot: int = NEXT_BOOT, **options: Any) -> int:
    environment = open_replica(directory, peers, boot, **options)
    sequence = environment.position.sequence
    environment.close()
    return sequence


def test_crashed_machine_starts_from_the_checkpoint(make_replica: Callable[..., Any]) -> None:
    replica = closing(make_replica())
    replica.apply([(b"a", b"1")])
    write_checkpoint(replica.environment, replica.directory, 1)
    replica.apply([(b"a", b"2")])
    assert reopen(crash_machine(replica)) == 1


def test_crashed_machine_without_checkpoint_starts_empty(make_replica: Callable[..., Any]) -> None:
    replica = closing(make_replica())
    replica.apply([(b"a", b"1")])
    assert reopen(crash_machine(replica)) == 0


def test_killed_process_keeps_its_environment(make_replica: Callable[..., Any]) -> None:
    replica = closing(make_replica())
    replica.apply([(b"a", b"1")])
    assert reopen(crash_machine(replica), boot=current_boot()) == 1


def test_cleanly_closed_environment_survives_a_new_boot(make_replica: Callable[..., Any]) -> None:
    replica = closing(make_replica())
    replica.apply([(b"a", b"1")])
    replica.environment.close()
    assert reopen(replica.directory) == 1


def test_newer_checkpoint_of_another_zone_is_taken(make_replica: Callable[..., Any]) -> None:
    behind, ahead = closing(make_replica()), make_replica()
    for replica in (behind, ahead):
        replica.apply([(b"a", b"1")])
        write_checkpoint(replica.environment, replica.directory, 1)
    ahead.apply([(b"a", b"2")])
    write_checkpoint(ahead.environment, ahead.directory, 2)
    assert reopen(crash_machine(behind), ahead.directory) == 2


def test_replica_behind_the_trimmed_journal_is_replaced(make_replica: Callable[..., Any]) -> None:
    behind, ahead = closing(make_replica()), make_replica()
    behind.apply([(b"a", b"1")])
    behind.environment.close()
    ahead.apply([(b"a", b"1")], [(b"a", b"2")])
    write_checkpoint(ahead.environment, ahead.directory, 2)
    assert reopen(behind.directory, ahead.directory, must_restore=True) == 2


def test_only_the_newest_checkpoint_is_kept(replica: Any) -> None:
    for sequence in (1, 2, 3):
        replica.apply([(b"a", b"1")])
        write_checkpoint(replica.environment, replica.directory, sequence)
    assert [sequence for sequence, _ in checkpoints(replica.directory)] == [3]
    assert durable_sequence(replica.directory) == 3


def test_unfinished_copy_is_no_checkpoint(replica: Any) -> None:
    (replica.directory / "copying").mkdir()
    (replica.directory / "copying" / "data.mdb").write_bytes(b"half")
    assert durable_sequence(replica.directory) == 0


def test_readers_of_a_replaced_environment_are_told(make_replica: Callable[..., Any]) -> None:
    replica = closing(make_replica())
    last = replica.apply([(b"a", b"1")])
    local = LocalReplica([replica.directory], stall_seconds=0.01)
    write_checkpoint(replica.environment, replica.directory, 1)
    words = local._words
    directory = crash_machine(replica)
    environment: WritableEnvironment = open_replica(
        directory, [], current_boot(), must_restore=True
    )
    try:
        assert words[RETIRED] == 1
        environment.position = environment.position.__class__(last + 10, 2, 0)
        environment.publish()
        assert local.snapshot(last + 10).get(b"a") == b"1"
    finally:
        local.close()
        environment.close()


def closing(replica: Any) -> Any:
    """Let the test close the environment itself."""
    close = replica.environment.close
    closed = []

    def close_once() -> None:
        if not closed:
            closed.append(True)
            close()

    replica.environment.close = close_once
    return replica


DAMAGES = {"short": b"not a page", "foreign": b"\xff" * 100_000, "zeroes": bytes(100_000)}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_damaged_environment_is_made_anew_from_the_checkpoint(replica: Any, content: bytes) -> None:
    directory: Path = replica.directory
    replica.apply([(b"a", b"1")])
    write_checkpoint(replica.environment, directory, 1)
    replica.environment.close()
    (directory / ENVIRONMENT / "data.mdb").write_bytes(content)
    environment = open_replica(directory, [], current_boot())
    assert (environment.position.sequence, environment.restored) == (1, True)
    environment.close()
    replica.environment = open_replica(directory, [], current_boot())
    assert not replica.environment.restored


def test_damaged_checkpoint_is_passed_over_for_an_older_one_of_a_peer(
    replica: Any, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    replica.apply([(b"a", b"1")])
    write_checkpoint(replica.environment, replica.directory, 1)
    (own / "checkpoint-9").mkdir(parents=True)
    (own / "checkpoint-9" / "data.mdb").write_bytes(b"\xff" * 50_000)
    environment = open_replica(own, [replica.directory], current_boot())
    assert (environment.position.sequence, environment.restored) == (1, True)
    environment.close()
