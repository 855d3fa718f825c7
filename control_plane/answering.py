"""From an operation's output, or its failure, to the HTTP answer (rest-json).

Source: https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from control_plane.failures import ServiceError
from control_plane.messages import HttpAnswer
from control_plane.service_model import Operation, Shape, StructureShape

REQUEST_ID = "x-amzn-RequestId"
ERROR_TYPE = "x-amzn-ErrorType"
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}
_IN_HEADERS = {"retryAfterSeconds": "Retry-After"}


def write_output(operation: Operation, output: Mapping[str, Any], request_id: str) -> HttpAnswer:
    """Return the answer that holds an operation's output. Times are in seconds since 1970."""
    body = {} if operation.answers is None else _structure(operation.answers, output)
    return HttpAnswer(200, {**_HEADERS, REQUEST_ID: request_id}, json.dumps(body).encode())


def write_failure(error: ServiceError, request_id: str) -> HttpAnswer:
    """Return the answer that says why there is none."""
    headers = {**_HEADERS, REQUEST_ID: request_id, ERROR_TYPE: error.name}
    body = {}
    for name, value in error.members.items():
        if name in _IN_HEADERS:
            headers[_IN_HEADERS[name]] = str(value)
        else:
            body[name] = value
    return HttpAnswer(error.status, headers, json.dumps(body).encode())


def _structure(shape: StructureShape, value: Mapping[str, Any]) -> dict[str, Any]:
    """Write what the installed model knows of a value: an older one knows fewer members."""
    assert value.keys() >= set(shape.required_members), "an answer has what the model promises"
    return {
        name: _value(shape.members[name], member)
        for name, member in value.items()
        if name in shape.members
    }


def _value(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        return _structure(shape, value)
    if shape.type_name == "list":
        return [_value(shape.member, member) for member in value]
    return value
