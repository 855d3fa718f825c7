import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from dsql.control.authority import Authority
from dsql.control.clusters import (
    cluster_arn,
    create_cluster,
    list_clusters,
    mend_records,
    new_identifier,
)
from dsql.control.layout import (
    ClusterRecord,
    Layout,
    RecordDamagedError,
    decode_record,
    encode_record,
)
from dsql.control.removal import erase_cluster, withdraw_cluster
from placement.assignment import Assigner


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def test_identifiers_are_26_characters_of_lower_case_base32() -> None:
    identifiers = {new_identifier() for _ in range(50)}
    assert len(identifiers) == 50
    assert all(re.fullmatch("[a-z2-7]{26}", identifier) for identifier in identifiers)


def test_created_cluster_can_be_read_back(layout: Layout) -> None:
    record = create_cluster(layout, Authority.open(layout), region="eu-west-1")
    assert layout.read_cluster(record.identifier) == record
    assert record.endpoint == f"{record.identifier}.dsql.eu-west-1.on.aws"
    assert record.azs == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    assert cluster_arn(record).endswith(f":cluster/{record.identifier}")


def founded(layout: Layout) -> tuple[ClusterRecord, Path]:
    """A cluster of which one zone has kept a copy of the record."""
    record = create_cluster(layout, Authority.open(layout))
    copy = layout.journal_founded(record.azs[0], record.identifier)
    copy.write_bytes(encode_record(record))
    return record, copy


def test_every_damaged_byte_of_a_record_is_noticed_and_a_copy_serves(layout: Layout) -> None:
    record, copy = founded(layout)
    path = layout.record(record.identifier)
    content = path.read_bytes()
    for position in range(len(content)):
        path.write_bytes(
            content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        )
        assert layout.read_cluster(record.identifier) == record
        with pytest.raises(RecordDamagedError):
            decode_record(path.read_bytes())
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert layout.read_cluster(record.identifier) == record
    mend_records(layout)
    copy.unlink()
    assert layout.read_cluster(record.identifier) == record


def test_damaged_record_without_a_sound_copy_says_what_to_do(layout: Layout) -> None:
    record, copy = founded(layout)
    path = layout.record(record.identifier)
    for damaged in (path, copy):
        damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(RecordDamagedError, match="from a backup"):
        mend_records(layout)


def test_record_of_an_older_format_has_no_checksum_and_is_read(layout: Layout) -> None:
    record = create_cluster(layout, Authority.open(layout))
    record.format = 2
    layout.record(record.identifier).write_bytes(msgspec.json.encode(record))
    assert layout.read_cluster(record.identifier) == record


def test_folder_without_a_record_is_not_a_cluster(layout: Layout) -> None:
    layout.cluster("a" * 26).mkdir(parents=True)
    assert list_clusters(layout) == []
    assert layout.read_cluster("a" * 26) is None


def test_clusters_are_listed_in_the_order_of_creation(layout: Layout) -> None:
    authority = Authority.open(layout)
    made = [create_cluster(layout, authority) for _ in range(3)]
    assert list_clusters(layout) == made


def test_deleted_cluster_leaves_nothing_behind(layout: Layout) -> None:
    record = create_cluster(layout, Authority.open(layout))
    layout.storage(record.azs[0], record.identifier).mkdir(parents=True)
    withdraw_cluster(layout, record.identifier)
    assert layout.read_cluster(record.identifier) is None
    erase_cluster(layout, record.identifier)
    assert not list(layout.root.rglob(f"*{record.identifier}*"))


def test_a_removal_goes_on_wherever_another_one_ended(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority.open(layout)
    for steps in range(5):  # the files of its folder, and the folder
        record = create_cluster(layout, authority)
        layout.storage(record.azs[0], record.identifier).mkdir(parents=True)
        withdraw_cluster(layout, record.identifier)
        with monkeypatch.context() as patch, pytest.raises(InterruptedError):
            end_after(steps, patch)
            erase_cluster(layout, record.identifier)
        withdraw_cluster(layout, record.identifier)
        erase_cluster(layout, record.identifier)
        assert not list(layout.root.rglob(f"*{record.identifier}*"))


def end_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """Let so many names be removed, and then nothing more."""
    left = iter(range(steps))

    def ending(remove: Callable[..., None]) -> Callable[..., None]:
        def step(path: Path, **options: bool) -> None:
            if next(left, None) is None:
                raise InterruptedError
            remove(path, **options)

        return step

    patch.setattr(Path, "unlink", ending(Path.unlink))
    patch.setattr(Path, "rmdir", ending(Path.rmdir))


@pytest.mark.parametrize("identifier", ["../../../../../../../../x", "short", "A" * 26])
def test_impossible_identifiers_are_refused(layout: Layout, identifier: str) -> None:
    with pytest.raises(ValueError):
        create_cluster(layout, Authority.open(layout), identifier=identifier)


def test_identifier_in_use_is_refused(layout: Layout) -> None:
    authority = Authority.open(layout)
    record = create_cluster(layout, authority)
    with pytest.raises(FileExistsError):
        create_cluster(layout, authority, identifier=record.identifier)


def test_a_cluster_remembers_whether_its_sessions_may_choose_their_profile(layout: Layout) -> None:
    authority = Authority.open(layout)
    default = create_cluster(layout, authority)
    allowed = create_cluster(layout, authority, profile_changes=True)
    assigner = Assigner(layout, default.azs[0], sandbox=False, park_seconds=1.0)
    for record, allows in ((default, False), (allowed, True)):
        assert assigner.assignment(record.identifier).profile_changes is allows
