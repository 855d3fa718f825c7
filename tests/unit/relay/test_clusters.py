import datetime
from pathlib import Path

import pytest

from dsql.control.authority import Authority, cluster_certificate
from dsql.control.clusters import create_cluster
from dsql.control.layout import Layout
from dsql.control.removal import withdraw_cluster
from dsql.control.resources import PENDING_SETUP, of_record, read_resource, write_resource
from relay.clusters import RECHECK_SECONDS, ClusterDirectory
from relay.tls import make_context


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def authority(layout: Layout) -> Authority:
    return Authority.open(layout)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(layout: Layout, clock: Clock) -> ClusterDirectory:
    return ClusterDirectory(layout, make_context, clock)


def renew(layout: Layout, authority: Authority, identifier: str, endpoint: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    authority.issue(cluster_certificate(layout, identifier, endpoint), now)


def test_new_cluster_is_found_at_once(layout, authority, directory) -> None:
    assert directory.find("a" * 26) is None
    record = create_cluster(layout, authority)
    found = directory.find(record.identifier)
    assert found is not None
    assert found.record == record
    assert found.target.endpoint == record.endpoint


def test_context_is_kept_until_the_certificate_changes(layout, authority, directory, clock) -> None:
    record = create_cluster(layout, authority)
    first = directory.find(record.identifier)
    clock.now += RECHECK_SECONDS + 1
    assert directory.find(record.identifier).context is first.context
    renew(layout, authority, record.identifier, record.endpoint)
    clock.now += RECHECK_SECONDS + 1
    assert directory.find(record.identifier).context is not first.context


def test_half_written_certificate_leaves_the_old_one_in_use(
    layout, authority, directory, clock
) -> None:
    record = create_cluster(layout, authority)
    first = directory.find(record.identifier)
    Path(layout.key(record.identifier)).write_text("not a key")
    clock.now += RECHECK_SECONDS + 1
    assert directory.find(record.identifier).context is first.context
    renew(layout, authority, record.identifier, record.endpoint)
    clock.now += RECHECK_SECONDS + 1
    assert directory.find(record.identifier).context is not first.context


def test_a_deleted_cluster_is_gone_with_the_next_login(layout, authority, directory, clock) -> None:
    record = create_cluster(layout, authority)
    assert directory.find(record.identifier) is not None
    withdraw_cluster(layout, record.identifier)
    assert directory.find(record.identifier) is None


def test_what_changes_in_a_clusters_resource_binds_the_next_login(
    layout, authority, directory
) -> None:
    record = create_cluster(layout, authority)
    assert directory.find(record.identifier).target.tags == {}
    resource = read_resource(layout, record.identifier)
    resource.tags = {"Stage": "test"}
    resource.policy = "spoilt"
    write_resource(layout, resource)
    target = directory.find(record.identifier).target
    assert target.tags == {"Stage": "test"}
    assert not target.policy.statements[0].allows
    layout.resource(record.identifier).unlink()  # as one from before there were resources
    assert directory.find(record.identifier).target.policy is None


def test_a_cluster_that_is_not_active_is_not_served(layout, authority, directory) -> None:
    record = create_cluster(layout, authority)
    pending = of_record(record)
    pending.status = PENDING_SETUP
    write_resource(layout, pending)
    assert directory.find(record.identifier) is None
