"""One request from beginning to end: route, authenticate, read, carry out, answer.

No I/O but the registry's. Nothing is spent on a request before its signature is verified but its parsing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from control_plane import (
    answering,
    cluster_operations,
    policy_operations,
    query_protocol,
    reading,
    sts_operations,
    tag_operations,
)
from control_plane.audit import AuditLog, Event
from control_plane.failures import ServiceError, internal, invalid, throttled
from control_plane.messages import HttpAnswer, HttpRequest
from control_plane.permissions import Caller
from control_plane.plane import Answer, Plane
from control_plane.reading import Input
from control_plane.service_model import Operation, Route, route
from dsql.control.identities import AccessKey
from dsql.control.trail import API_CALL, STS_CALL, EventKind
from dsql.rate_limit import RateLimit

log = logging.getLogger(__name__)

Handler = Callable[[Plane, Caller, Mapping[str, Any]], Answer]


def _no_streams(plane: Plane, caller: Caller, given: Mapping[str, Any]) -> Answer:
    plane.permitted(caller, "GetCluster", given["clusterIdentifier"])
    raise invalid("Change data streams are not supported by this installation.")


class Service(NamedTuple):
    """One of AWS's services: how its requests are read and answered, and what carries them out."""

    kind: EventKind
    handlers: Mapping[str, Handler]
    route: Callable[[HttpRequest], Route]
    read: Callable[[Route, HttpRequest], Input]
    write: Callable[[Operation, Answer, str], HttpAnswer]
    refuse: Callable[[ServiceError, str], HttpAnswer]


_CLUSTER_HANDLERS: dict[str, Handler] = {
    "CreateCluster": cluster_operations.create_cluster,
    "GetCluster": cluster_operations.get_cluster,
    "UpdateCluster": cluster_operations.update_cluster,
    "DeleteCluster": cluster_operations.delete_cluster,
    "ListClusters": cluster_operations.list_clusters,
    "GetVpcEndpointServiceName": cluster_operations.get_vpc_endpoint_service_name,
    "PutClusterPolicy": policy_operations.put_cluster_policy,
    "GetClusterPolicy": policy_operations.get_cluster_policy,
    "DeleteClusterPolicy": policy_operations.delete_cluster_policy,
    "TagResource": tag_operations.tag_resource,
    "UntagResource": tag_operations.untag_resource,
    "ListTagsForResource": tag_operations.list_tags_for_resource,
    "CreateStream": _no_streams,
    "GetStream": _no_streams,
    "ListStreams": _no_streams,
    "DeleteStream": _no_streams,
}
CLUSTERS = Service(
    API_CALL,
    _CLUSTER_HANDLERS,
    lambda request: route(request.method, request.path),
    reading.read_input,
    answering.write_output,
    answering.write_failure,
)
STS = Service(
    STS_CALL,
    {
        "AssumeRole": sts_operations.assume_role,
        "GetCallerIdentity": sts_operations.get_caller_identity,
    },
    query_protocol.route,
    query_protocol.read_input,
    query_protocol.write_output,
    query_protocol.write_failure,
)


class Authenticating(Protocol):
    """Finds out who sends a request."""

    def authenticate(self, request: HttpRequest, now: float) -> AccessKey:
        """Return the access key behind it; `now`: seconds since 1970. Raises ServiceError."""
        ...


class Dispatcher:
    """Answers requests to one service, one after the other."""

    def __init__(
        self,
        plane: Plane,
        authenticator: Authenticating,
        rate: RateLimit,
        audit: AuditLog,
        monotonic: Callable[[], float] = time.monotonic,
        service: Service = CLUSTERS,
    ) -> None:
        self._service = service
        self._plane = plane
        self._authenticator = authenticator
        self._rate = rate
        self._audit = audit
        self._monotonic = monotonic

    def answer(self, request: HttpRequest, request_id: str, now: float) -> HttpAnswer:
        """Return the answer to a request; whatever happens, there is one. `now`: seconds since 1970."""
        event = Event(request, request_id, now, self._service.kind)
        try:
            return self._carry_out(request, event)
        except ServiceError as error:
            event.failure = error
        except Exception:
            log.exception("request %s failed", request_id)
            event.failure = internal()
        finally:
            self._audit.record(event, self._plane.settings, self._monotonic())
        return self._service.refuse(event.failure, request_id)

    def _carry_out(self, request: HttpRequest, event: Event) -> HttpAnswer:
        service = self._service
        found = service.route(request)
        event.operation = found.operation
        key = self._authenticator.authenticate(request, event.now)
        event.key = key
        if not self._rate.take(key.access_key_id, self._monotonic()):
            raise throttled()
        given = service.read(found, request)
        event.parameters = given
        handler = service.handlers.get(found.operation.name)
        if handler is None:  # the installed model knows more than we do
            raise invalid(f"{found.operation.name} is not supported", "unknownOperation")
        caller = Caller(key, request.address, event.now, request.encrypted)
        output = handler(self._plane, caller, given)
        event.output = output
        return service.write(found.operation, output, event.request_id)
