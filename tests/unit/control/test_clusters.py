import re
from pathlib import Path

import pytest

from dsql.control.authority import Authority
from dsql.control.clusters import (
    cluster_arn,
    create_cluster,
    delete_cluster,
    list_clusters,
    new_identifier,
)
from dsql.control.layout import Layout
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
    assert delete_cluster(layout, record.identifier)
    assert not layout.cluster(record.identifier).exists()
    assert not layout.storage(record.azs[0], record.identifier).exists()
    assert not delete_cluster(layout, record.identifier)


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
    assigner = Assigner(layout, default.azs[0], sandbox=False)
    for record, allows in ((default, False), (allowed, True)):
        assert assigner.assignment(record.identifier, 60.0).profile_changes is allows
