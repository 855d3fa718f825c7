"""The operations on clusters: CreateCluster, GetCluster, UpdateCluster, DeleteCluster, ListClusters, ..."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from control_plane.failures import CLUSTERS_QUOTA, conflict, invalid, too_many
from control_plane.idempotency import earlier_answer, remember
from control_plane.permissions import ANY_CLUSTER, Caller, tag_context
from control_plane.plane import Answer, Plane, summary
from control_plane.policy_operations import checked_policy
from control_plane.regions import check_witness
from control_plane.registry import place_of
from control_plane.tag_operations import check_tags
from dsql.control.clusters import new_identifier
from dsql.control.resources import CREATING, DELETING, ClusterResource

PAGE_MAX = 100
OWNED_KEY = "AWS_OWNED_KMS_KEY"

Given = Mapping[str, Any]


def create_cluster(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Write a cluster down as CREATING; the rest follows. Raises ServiceError."""
    _may_create(plane, caller, given)
    known = plane.registry.created_by(given.get("clientToken", ""))
    if known is not None:
        answer = earlier_answer(known.tokens, "CreateCluster", given)
        assert answer is not None, "it was found by its token"
        return answer
    _check_key(given)
    tags = given.get("tags", {})
    check_tags(tags)
    witness = check_witness(given.get("multiRegionProperties"), plane.settings.region)
    if len(plane.registry) >= plane.settings.clusters_max:
        raise too_many("You have reached the cluster limit.", CLUSTERS_QUOTA)
    resource = ClusterResource(
        identifier=new_identifier(),
        region=plane.settings.region,
        account=plane.settings.account,
        created_at=caller.now,
        status=CREATING,
        deletion_protection=given.get("deletionProtectionEnabled", True),
        tags=dict(tags),
        witness_region=witness,
        metric_groups=_metric_groups(given),
    )
    if "policy" in given:
        resource.policy = checked_policy(plane, caller, resource, given)
        resource.policy_version = 1
    answer = plane.describe(resource)
    remember(resource, "CreateCluster", given, answer)
    plane.registry.save(resource)
    plane.changed(resource.identifier)
    return answer


def get_cluster(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Describe a cluster. Raises ServiceError."""
    resource = plane.permitted(caller, "GetCluster", given["identifier"])
    return {**plane.describe(resource), "tags": dict(resource.tags)}


def update_cluster(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Change a cluster's protection, or what is measured of it. Raises ServiceError."""
    identifier = given["identifier"]
    plane.permitted(caller, "UpdateCluster", identifier)
    resource = plane.registry.changeable(identifier)
    earlier = earlier_answer(resource.tokens, "UpdateCluster", given)
    if earlier is not None:
        return earlier
    _check_key(given)
    if "multiRegionProperties" in given:
        context = {"dsql:witnessregion": (given["multiRegionProperties"].get("witnessRegion", ""),)}
        plane.permissions.require(caller, "PutMultiRegionProperties", identifier, resource, context)
        if not resource.witness_region:
            raise invalid("A single-Region cluster cannot become a multi-Region cluster.")
        check_witness(given["multiRegionProperties"], plane.settings.region)
    if "deletionProtectionEnabled" in given:
        resource.deletion_protection = given["deletionProtectionEnabled"]
    if "metricGroups" in given:
        resource.metric_groups = _metric_groups(given)
    answer = summary(resource)
    remember(resource, "UpdateCluster", given, answer)
    plane.registry.save(resource)
    return answer


def delete_cluster(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Write a cluster down as DELETING; the rest follows. Raises ServiceError."""
    identifier = given["identifier"]
    resource = plane.permitted(caller, "DeleteCluster", identifier)
    if resource.status == DELETING:
        return summary(resource)
    resource = plane.registry.changeable(identifier)
    if resource.deletion_protection:
        raise invalid(
            f"Cluster '{identifier}' has deletion protection enabled. Disable it before you delete "
            "the cluster.",
            "deletionProtectionEnabled",
        )
    if resource.status == CREATING:
        raise conflict(f"Cluster '{identifier}' is being created.", identifier)
    resource.status = DELETING
    plane.registry.save(resource)
    plane.changed(identifier)
    return summary(resource)


def list_clusters(plane: Plane, caller: Caller, given: Given) -> Answer:
    """List clusters, in the order of creation. Raises ServiceError."""
    plane.permissions.require(caller, "ListClusters", ANY_CLUSTER)
    count = given.get("maxResults", PAGE_MAX)
    found = plane.registry.page(_place(given.get("nextToken")), count + 1)
    listed = found[:count]
    answer: Answer = {"clusters": [{"identifier": r.identifier, "arn": r.arn} for r in listed]}
    if len(found) > count:
        place = json.dumps(place_of(listed[-1])).encode()
        answer["nextToken"] = base64.urlsafe_b64encode(place).decode()
    return answer


def get_vpc_endpoint_service_name(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Name what a VPC endpoint would connect to. Raises ServiceError."""
    operation = "GetVpcEndpointServiceName"
    resource = plane.permitted(caller, operation, given["identifier"])
    name, label = plane.service_name()
    endpoint = plane.endpoint(resource.identifier).replace(".dsql.", f".{label}.", 1)
    return {"serviceName": name, "clusterVpcEndpoint": endpoint}


def _may_create(plane: Plane, caller: Caller, given: Given) -> None:
    """What a cluster is created with needs the permission for each of it."""
    tags = given.get("tags", {})
    context = tag_context(tags)
    properties = given.get("multiRegionProperties")
    wanted = ["CreateCluster"]
    wanted += ["TagResource"] if tags else []
    wanted += ["PutClusterPolicy"] if "policy" in given else []
    if properties is not None:
        wanted += ["PutMultiRegionProperties"]
        wanted += ["PutWitnessRegion"] if "witnessRegion" in properties else []
        context["dsql:witnessregion"] = (properties.get("witnessRegion", ""),)
    for operation in wanted:
        plane.permissions.require(caller, operation, ANY_CLUSTER, context=context)


def _check_key(given: Given) -> None:
    """Raises ServiceError: what says that a key encrypts the data would not be true."""
    if given.get("kmsEncryptionKey", OWNED_KEY) != OWNED_KEY:
        field = ("kmsEncryptionKey", f"Member must be {OWNED_KEY}")
        raise invalid("Customer managed KMS keys are not supported.", "other", [field])


def _metric_groups(given: Given) -> list[str]:
    return sorted({group["metricGroup"] for group in given.get("metricGroups", [])})


def _place(token: str | None) -> tuple[float, str] | None:
    if token is None:
        return None
    try:
        moment, identifier = json.loads(base64.urlsafe_b64decode(token))
        return float(moment), str(identifier)
    except (ValueError, TypeError, binascii.Error):
        field = ("nextToken", "It is not one that was given out")
        raise invalid("Invalid nextToken.", "fieldValidationFailed", [field]) from None
