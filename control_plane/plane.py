"""What all operations work on, and how the result is described."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from control_plane.failures import not_found
from control_plane.permissions import ANY_CLUSTER, Caller, Permissions
from control_plane.registry import Registry
from dsql.control.clusters import DEFAULT_DOMAIN, endpoint_name
from dsql.control.resources import ClusterResource
from dsql.limits import CLUSTERS_MAX

_SUFFIX_DIGITS = 6

Answer = dict[str, Any]


class Settings(NamedTuple):
    """What new clusters are like, and how many there may be."""

    region: str
    account: str
    azs: tuple[str, ...]
    profile: str = "dsql"
    domain: str = DEFAULT_DOMAIN
    clusters_max: int = CLUSTERS_MAX


class Plane(NamedTuple):
    """The clusters, who may what, and whom to tell that a cluster's state has to change."""

    settings: Settings
    registry: Registry
    permissions: Permissions
    changed: Callable[[str], None]

    def permitted(self, caller: Caller, operation: str, identifier: str) -> ClusterResource:
        """Return a cluster on which the caller may do the operation. Raises ServiceError."""
        resource = self.registry.find(identifier)
        self.permissions.require(caller, operation, identifier, resource)
        return self.registry.get(identifier)

    def tagged(self, caller: Caller, operation: str, arn: str) -> ClusterResource:
        """Return the cluster with an ARN, for the operations on tags. Raises ServiceError."""
        identifier = arn.rpartition("/")[2]
        resource = self.registry.find(identifier)
        known = resource is not None and resource.arn == arn
        self.permissions.require(
            caller, operation, identifier if known else ANY_CLUSTER, resource if known else None
        )
        if resource is None or not known:
            raise not_found(f"Resource '{arn}' does not exist.", arn)
        return resource

    def describe(self, resource: ClusterResource) -> Answer:
        """Return what GetCluster tells."""
        described: Answer = {
            **summary(resource),
            "deletionProtectionEnabled": resource.deletion_protection,
            "encryptionDetails": {
                "encryptionType": "AWS_OWNED_KMS_KEY",
                "encryptionStatus": "ENABLED",
            },
            "endpoint": self.endpoint(resource.identifier),
            "metricGroups": [{"metricGroup": name} for name in resource.metric_groups],
        }
        if resource.witness_region:
            described["multiRegionProperties"] = {
                "witnessRegion": resource.witness_region,
                "clusters": [resource.arn],
            }
        return described

    def endpoint(self, identifier: str) -> str:
        """Return the name under which clients reach a cluster."""
        return endpoint_name(identifier, self.settings.region, self.settings.domain)

    def service_name(self) -> tuple[str, str]:
        """Return the name of the region's VPC endpoint service, and the label that tells it apart."""
        region, account = self.settings.region, self.settings.account
        digest = hashlib.sha256(f"{account}/{region}".encode()).hexdigest()
        label = f"dsql-{digest[:_SUFFIX_DIGITS]}"
        return f"com.amazonaws.{region}.{label}", label


def summary(resource: ClusterResource) -> Answer:
    """Return what every operation that changes a cluster tells of it."""
    return {
        "identifier": resource.identifier,
        "arn": resource.arn,
        "status": resource.status,
        "creationTime": round(resource.created_at, 3),
    }
