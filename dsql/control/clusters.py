"""Creating and listing clusters (`dsql.control.removal` has their end).

A cluster is a folder with a resource, a certificate and a record. The record is written last, so whatever a
crash leaves behind without one is not a cluster yet: its resource says what is to become of it.
"""

from __future__ import annotations

import base64
import datetime
import os
import re
from collections.abc import Sequence

from dsql.control.atomic_file import write_atomically
from dsql.control.authority import Authority, cluster_certificate
from dsql.control.layout import (
    CLUSTER_FORMAT,
    ClusterRecord,
    Layout,
    RecordDamagedError,
    decode_record,
    encode_record,
)
from dsql.control.resources import arn_of, of_record, write_resource
from dsql.disk.files import read_file

DEFAULT_REGION = "us-east-1"
DEFAULT_ACCOUNT = "111122223333"
DEFAULT_DOMAIN = "on.aws"
_IDENTIFIER = re.compile("[a-z0-9]{26}")
PROFILES = ("dsql", "postgres")


def new_identifier() -> str:
    """Return 16 random bytes in unpadded lower-case base32: 26 characters of a-z2-7."""
    return base64.b32encode(os.urandom(16)).decode().rstrip("=").lower()


def endpoint_name(identifier: str, region: str, domain: str = DEFAULT_DOMAIN) -> str:
    """Return the DNS name under which clients reach a cluster."""
    return f"{identifier}.dsql.{region}.{domain}"


def cluster_arn(record: ClusterRecord) -> str:
    """Return a cluster's ARN, the resource of IAM statements."""
    return arn_of(record.region, record.account, record.identifier)


def create_cluster(
    layout: Layout,
    authority: Authority,
    *,
    region: str = DEFAULT_REGION,
    account: str = DEFAULT_ACCOUNT,
    domain: str = DEFAULT_DOMAIN,
    profile: str = "dsql",
    profile_changes: bool = False,
    azs: Sequence[str] = (),
    identifier: str = "",
) -> ClusterRecord:
    """Make a cluster and return its record.

    `azs` defaults to the three zones a, b and c of the region; the first one leads first.
    Raises ValueError for an unknown profile or an impossible identifier, FileExistsError for one in use.
    """
    if profile not in PROFILES:
        raise ValueError(f"there is no profile {profile!r}")
    if identifier and not _IDENTIFIER.fullmatch(identifier):
        raise ValueError(f"{identifier!r} cannot be a cluster's identifier")
    identifier = identifier or new_identifier()
    zones = list(azs) or [f"{region}{zone}" for zone in "abc"]
    now = datetime.datetime.now(datetime.UTC)
    record = ClusterRecord(
        identifier=identifier,
        region=region,
        endpoint=endpoint_name(identifier, region, domain),
        account=account,
        profile=profile,
        azs=zones,
        created_at=now.timestamp(),
        profile_changes=profile_changes,
        format=CLUSTER_FORMAT,
    )
    if layout.record(identifier).exists():
        raise FileExistsError(f"cluster {identifier} exists")
    if not layout.resource(identifier).exists():
        write_resource(layout, of_record(record))
    authority.issue(cluster_certificate(layout, identifier, record.endpoint), now)
    write_record(layout, record)
    return record


def write_record(layout: Layout, record: ClusterRecord) -> None:
    """Replace a cluster's record."""
    content = encode_record(record)
    write_atomically(layout.record(record.identifier), content, files=layout.files)


def mend_records(layout: Layout) -> None:
    """Write damaged records anew from their copies. Raises RecordDamagedError if there is no sound one."""
    for identifier in layout.cluster_identifiers():
        try:
            decode_record(read_file(layout.files, layout.record(identifier)))
        except RecordDamagedError:
            record = layout.read_cluster(identifier)
            assert record is not None, "it was there a moment ago"
            write_record(layout, record)


def list_clusters(layout: Layout) -> list[ClusterRecord]:
    """Return every cluster's record, in the order of creation."""
    records = [layout.read_cluster(identifier) for identifier in layout.cluster_identifiers()]
    return sorted((r for r in records if r is not None), key=lambda record: record.created_at)
