"""A control plane without a network: boto3's own requests go straight to the dispatcher."""

from __future__ import annotations

import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from control_plane.audit import AuditLog
from control_plane.authentication import Authenticator
from control_plane.dispatch import STS, Dispatcher
from control_plane.messages import HttpAnswer, HttpRequest
from control_plane.permissions import Permissions
from control_plane.plane import Plane, Settings
from control_plane.query_protocol import STS_SERVICE, is_query
from control_plane.registry import Registry
from dsql.control.access_keys import AccessKeyStore, ensure_first_key
from dsql.control.identities import AccessKey, AttachedPolicy, new_access_key
from dsql.control.layout import Layout
from dsql.control.resources import ACTIVE, CREATING
from dsql.rate_limit import RateLimit

REGION, ACCOUNT = "us-east-1", "111122223333"
SETTINGS = Settings(REGION, ACCOUNT, ("us-east-1a", "us-east-1b", "us-east-1c"), clusters_max=5)


class Raw(BytesIO):
    """A body as urllib3 would give it."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


class Service:
    """The control plane of one data directory. `settles`: what is being created is active at once."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.now: float | None = None
        self.settles = True
        self.changed: list[str] = []
        self.sent: list[HttpRequest] = []
        self.keys = AccessKeyStore(layout.access_keys)
        self.first = ensure_first_key(self.keys, ACCOUNT)
        self.restart()

    def restart(self) -> None:
        """Begin anew with what is on disk."""
        self.registry = Registry(self.layout)
        self.registry.load()
        permissions = Permissions(self.keys, REGION, ACCOUNT)
        plane = Plane(SETTINGS, self.registry, permissions, self._change)
        authenticator = Authenticator(self.keys, REGION)
        self.dispatcher = Dispatcher(
            plane, authenticator, RateLimit(1, 500), AuditLog(), monotonic=lambda: 0.0
        )
        self.sts = Dispatcher(
            plane,
            Authenticator(self.keys, REGION, STS_SERVICE),
            RateLimit(1, 500),
            AuditLog(),
            monotonic=lambda: 0.0,
            service=STS,
        )

    def _change(self, identifier: str) -> None:
        self.changed.append(identifier)
        resource = self.registry.get(identifier)
        if self.settles and resource.status == CREATING:
            self.settle(identifier)

    def settle(self, identifier: str) -> None:
        """Do what makes a cluster active."""
        resource = self.registry.changeable(identifier)
        resource.status = ACTIVE
        self.registry.save(resource)

    def answer(self, request: HttpRequest) -> HttpAnswer:
        """Answer a request."""
        self.sent.append(request)
        dispatcher = self.sts if is_query(request) else self.dispatcher
        return dispatcher.answer(request, "request", self.now or time.time())

    def client(
        self, key: AccessKey | None = None, address: str = "192.0.2.7", service: str = "dsql"
    ) -> Any:
        """Return a client of boto3 that signs with a key, by default the first one."""
        key = key or self.first
        client = boto3.client(
            service,
            region_name=REGION,
            endpoint_url="https://localhost:1",
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=key.session_token or None,
            config=Config(retries={"total_max_attempts": 1}),
        )
        client.meta.events.register(
            f"before-send.{service}", lambda request, **_: self._send(request, address)
        )
        return client

    def user(self, name: str, *statements: dict[str, Any]) -> AccessKey:
        """Make a user with a key and a policy."""
        key = new_access_key(f"arn:aws:iam::{ACCOUNT}:user/{name}")
        policy = AttachedPolicy(key.principal, "p", {"Statement": list(statements)})
        self.keys.add(key, [policy] if statements else [])
        return key

    def _send(self, request: Any, address: str) -> AWSResponse:
        answer = self.answer(as_received(request, address))
        return AWSResponse(request.url, answer.status, answer.headers, Raw(answer.body))


def as_received(request: Any, address: str = "192.0.2.7") -> HttpRequest:
    """Return a request of botocore as it would come over the network."""
    parts = urlsplit(request.url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }
    body = request.body or b""
    return HttpRequest(
        request.method,
        parts.path,
        parts.query,
        {"host": parts.netloc, **headers},
        body.encode() if isinstance(body, str) else bytes(body),
        address,
    )
