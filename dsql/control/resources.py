"""What the control plane keeps of a cluster beside its record: state, tags, protection, policy.

    clusters/ID/resource.json   written before anything else of a cluster
    deleted/ID/resource.json    of one that is being deleted: its folder is moved there, and goes last

The control plane alone writes it. Relays read tags and policy, because they decide by them who may connect.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import msgspec

from dsql.control.atomic_file import PRIVATE, write_atomically
from dsql.control.layout import ClusterRecord, Layout
from dsql.disk.files import read_file
from dsql.iam.document import MalformedPolicyError, Policy, parse_resource_policy

log = logging.getLogger(__name__)

CREATING, ACTIVE, PENDING_SETUP, DELETING = "CREATING", "ACTIVE", "PENDING_SETUP", "DELETING"
NOBODY = parse_resource_policy(
    '{"Statement": {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}}'
)


class TokenUse(msgspec.Struct, frozen=True):
    """A client's token, for which operation and parameters (their digest), and what was answered."""

    operation: str
    token: str
    digest: str
    answer: dict[str, Any]


class ClusterResource(msgspec.Struct, kw_only=True):
    """resource.json. `created_at` is in seconds since 1970.

    `policy` is the text as it was given, "" for none; its version counts, also over deletions.
    """

    identifier: str
    region: str
    account: str
    created_at: float
    status: str
    deletion_protection: bool = True
    tags: dict[str, str] = {}
    policy: str = ""
    policy_version: int = 0
    witness_region: str = ""
    metric_groups: list[str] = []
    tokens: list[TokenUse] = []

    @property
    def arn(self) -> str:
        """Its ARN."""
        return arn_of(self.region, self.account, self.identifier)

    @property
    def is_served(self) -> bool:
        """Whether clients can connect."""
        return self.status == ACTIVE


def arn_of(region: str, account: str, identifier: str) -> str:
    """Return a cluster's ARN, the resource of IAM statements."""
    return f"arn:aws:dsql:{region}:{account}:cluster/{identifier}"


_decode = msgspec.json.Decoder(ClusterResource).decode


def read_resource(
    layout: Layout, identifier: str, *, deleted: bool = False
) -> ClusterResource | None:
    """Return a cluster's resource, None if there is none. Raises msgspec.DecodeError, OSError."""
    path = layout.deleted_resource(identifier) if deleted else layout.resource(identifier)
    with contextlib.suppress(FileNotFoundError):
        return _decode(read_file(layout.files, path))
    return None


def write_resource(layout: Layout, resource: ClusterResource) -> None:
    """Replace a cluster's resource. Raises OSError."""
    path = layout.resource(resource.identifier)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, msgspec.json.encode(resource), PRIVATE, files=layout.files)


def of_record(record: ClusterRecord) -> ClusterResource:
    """Return the resource of a cluster that `dsql up` has made, or one before there were resources."""
    return ClusterResource(
        identifier=record.identifier,
        region=record.region,
        account=record.account,
        created_at=record.created_at,
        status=ACTIVE,
    )


def resource_policy(resource: ClusterResource | None) -> Policy | None:
    """Return a cluster's policy; one that cannot be read allows nobody anything."""
    if resource is None or not resource.policy:
        return None
    try:
        return parse_resource_policy(resource.policy)
    except MalformedPolicyError as error:
        log.error("the policy of cluster %s is damaged: %s", resource.identifier, error)
        return NOBODY
