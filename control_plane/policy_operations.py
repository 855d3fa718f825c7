"""The operations on a cluster's own policy: PutClusterPolicy, GetClusterPolicy, DeleteClusterPolicy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_plane.failures import ServiceError, conflict, denied, invalid, not_found
from control_plane.idempotency import earlier_answer, remember
from control_plane.permissions import Caller
from control_plane.plane import Answer, Plane
from dsql.control.resources import ClusterResource
from dsql.iam.document import MalformedPolicyError, parse_resource_policy
from dsql.iam.evaluation import is_public

POLICY_TYPE = "AWS::DSQL::ClusterPolicy"

Given = Mapping[str, Any]


def put_cluster_policy(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Give a cluster a policy, or another one. Raises ServiceError."""
    identifier = given["identifier"]
    plane.permitted(caller, "PutClusterPolicy", identifier)
    resource = plane.registry.changeable(identifier)
    earlier = earlier_answer(resource.tokens, "PutClusterPolicy", given)
    if earlier is not None:
        return earlier
    _check_version(resource, given)
    resource.policy = checked_policy(plane, caller, resource, given)
    resource.policy_version += 1
    answer = {"policyVersion": str(resource.policy_version)}
    remember(resource, "PutClusterPolicy", given, answer)
    plane.registry.save(resource)
    return answer


def get_cluster_policy(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Return a cluster's policy as it was given, and its version. Raises ServiceError."""
    resource = plane.permitted(caller, "GetClusterPolicy", given["identifier"])
    if not resource.policy:
        raise _no_policy(resource)
    return {"policy": resource.policy, "policyVersion": str(resource.policy_version)}


def delete_cluster_policy(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Take a cluster's policy away; the answer is the version of that. Raises ServiceError."""
    identifier = given["identifier"]
    plane.permitted(caller, "DeleteClusterPolicy", identifier)
    resource = plane.registry.changeable(identifier)
    earlier = earlier_answer(resource.tokens, "DeleteClusterPolicy", given)
    if earlier is not None:
        return earlier
    if not resource.policy:
        raise _no_policy(resource)
    _check_version(resource, given)
    resource.policy = ""
    answer = {"policyVersion": str(resource.policy_version)}
    remember(resource, "DeleteClusterPolicy", given, answer)
    plane.registry.save(resource)
    return answer


def checked_policy(plane: Plane, caller: Caller, resource: ClusterResource, given: Given) -> str:
    """Return the text of a policy that a cluster may have. Raises ServiceError.

    It must not be everybody's; and unless the caller wants that, it must not lock the caller out.
    """
    text: str = given["policy"]
    try:
        policy = parse_resource_policy(text)
    except MalformedPolicyError as error:
        field = ("policy", str(error))
        raise invalid(f"Invalid policy: {error}", "fieldValidationFailed", [field]) from None
    if is_public(policy):
        raise denied("The policy would grant public access to the cluster, which is blocked.")
    if not given.get("bypassPolicyLockoutSafetyCheck", False):
        decision = plane.permissions.under(policy, caller, "PutClusterPolicy", resource)
        if not decision.allowed:
            raise invalid(
                "The policy would not allow you to change it again. To apply it all the same, set "
                "bypassPolicyLockoutSafetyCheck."
            )
    return text


def _check_version(resource: ClusterResource, given: Given) -> None:
    expected = given.get("expectedPolicyVersion")
    current = str(resource.policy_version) if resource.policy else ""
    if expected is not None and expected != current:
        raise conflict(
            f"The policy's version is {current or 'none'}, not {expected}.", resource.identifier
        )


def _no_policy(resource: ClusterResource) -> ServiceError:
    text = f"Cluster '{resource.identifier}' has no policy."
    return not_found(text, resource.identifier, POLICY_TYPE)
