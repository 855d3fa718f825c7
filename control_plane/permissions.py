"""Who may do what to which cluster: the one place where the control plane decides that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from control_plane.failures import denied
from dsql.control.access_keys import AccessKeyStore
from dsql.control.identities import AccessKey, Role
from dsql.control.resources import ClusterResource, arn_of, resource_policy
from dsql.iam.document import Policy
from dsql.iam.request import AccessRequest, Decision, request_context, tag_values

ANY_CLUSTER = "*"


class Caller(NamedTuple):
    """Who asks, from where, and when (seconds since 1970)."""

    key: AccessKey
    address: str
    now: float
    encrypted: bool = True


class Permissions:
    """Asks the policies of callers and clusters. The clusters are those of one region and account."""

    def __init__(self, keys: AccessKeyStore, region: str, account: str) -> None:
        self._keys = keys
        self._region = region
        self._account = account

    def require(
        self,
        caller: Caller,
        operation: str,
        identifier: str,
        resource: ClusterResource | None = None,
        context: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """Raises ServiceError, AccessDeniedException, unless the caller may.

        `resource` is None for a cluster that is not there; so who may not ask is not told that.
        """
        request = self._request(caller, operation, identifier, resource, context)
        decision = self._keys.decide(caller.key, request, resource_policy(resource))
        if not decision.allowed:
            raise denied(decision.message(request))

    def under(
        self, policy: Policy, caller: Caller, operation: str, resource: ClusterResource
    ) -> Decision:
        """Decide as if the cluster had this policy."""
        request = self._request(caller, operation, resource.identifier, resource, None)
        return self._keys.decide(caller.key, request, policy)

    def require_trust(
        self, caller: Caller, role_arn: str, context: Mapping[str, tuple[str, ...]]
    ) -> Role:
        """Return a role that the caller may assume. Raises ServiceError, AccessDeniedException."""
        found = self._context(caller, {}) | dict(context)
        request = AccessRequest(caller.key.principal, "sts:AssumeRole", role_arn, found)
        decision = self._keys.decide_trust(caller.key, request)
        role = self._keys.role(role_arn)
        if role is None or not decision.allowed:
            raise denied(decision.message(request))
        return role

    def begin_session(
        self, caller: Caller, role: Role, name: str, seconds: int, policy: str
    ) -> AccessKey:
        """Return credentials of a session that begins now. Raises OSError."""
        return self._keys.begin_session(role, name, caller.now, seconds, policy)

    def identifier(self, principal: str) -> str:
        """Return a principal's unique id."""
        return self._keys.identifier(principal)

    def _context(self, caller: Caller, tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
        found = request_context(tags, caller.address, caller.now)
        return found | {"aws:securetransport": ("true" if caller.encrypted else "false",)}

    def _request(
        self,
        caller: Caller,
        operation: str,
        identifier: str,
        resource: ClusterResource | None,
        context: Mapping[str, tuple[str, ...]] | None,
    ) -> AccessRequest:
        tags = {} if resource is None else resource.tags
        found = self._context(caller, tags)
        arn = arn_of(self._region, self._account, identifier)
        return AccessRequest(
            caller.key.principal, f"dsql:{operation}", arn, found | dict(context or {})
        )


def tag_context(tags: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the condition keys of tags that a request brings."""
    found = tag_values("aws:requesttag", tags)
    return found | ({"aws:tagkeys": tuple(tags)} if tags else {})
