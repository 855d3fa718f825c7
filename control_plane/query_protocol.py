"""AWS's Query protocol, which STS speaks: a form comes, XML goes.

Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html. Members that are lists or structures
are not understood, and refused by name: no operation that there is needs them.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.loaders import Loader
from botocore.model import ServiceModel

from control_plane.answering import REQUEST_ID
from control_plane.failures import ServiceError, invalid
from control_plane.messages import HttpAnswer, HttpRequest
from control_plane.reading import Input, check_members
from control_plane.service_model import Operation, Route, Shape, StructureShape

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
FIELDS_MAX = 100
STS_SERVICE = "sts"
_FORM = "application/x-www-form-urlencoded"
_HEADERS = {"Content-Type": "text/xml", "Cache-Control": "no-store"}
# The exceptions of other services by the names that they have here.
_NAMES = {
    "AccessDeniedException": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "InternalServerException": "InternalFailure",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "ThrottlingException": "Throttling",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ValidationException": "ValidationError",
}
_STATUS = {"ThrottlingException": 400}


def is_query(request: HttpRequest) -> bool:
    """Return whether a request is a form: those of the other services are JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.method == "POST" and request.path == "/" and kind == _FORM


def route(request: HttpRequest) -> Route:
    """Return the operation that a form names. Raises ServiceError."""
    name = dict(_form(request)).get("Action", "")
    found = _operations().get(name)
    if found is None:
        text = f"Could not find operation {name} for version {_model().api_version}"
        raise ServiceError("InvalidAction", 400, text)
    return Route(found, {})


def read_input(found: Route, request: HttpRequest) -> Input:
    """Return the members of an operation's input, checked. Raises ServiceError."""
    shape = found.operation.takes
    assert shape is not None, "an operation of the model has an input"
    members: Input = {}
    for name, text in _form(request):
        if name in ("Action", "Version"):
            continue
        member = shape.members.get(name.partition(".")[0])
        if member is None:
            continue
        if name not in shape.members or member.type_name not in _READ:
            raise invalid(f"The parameter {name} is not supported.")
        if name in members:
            raise invalid(f"The parameter {name} comes twice.")
        members[name] = _READ[member.type_name](name, text)
    return check_members(shape, members)


def write_output(operation: Operation, output: Mapping[str, Any], request_id: str) -> HttpAnswer:
    """Return the answer that holds an operation's output. Times are in seconds since 1970."""
    assert operation.answers is not None, "every operation answers"
    inner = "".join(_structure(operation.answers, output))
    result = f"<{operation.name}Result>{inner}</{operation.name}Result>"
    about = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    name = f"{operation.name}Response"
    body = f'<{name} xmlns="{NAMESPACE}">{result}{about}</{name}>'
    return HttpAnswer(200, {**_HEADERS, REQUEST_ID: request_id}, body.encode())


def write_failure(error: ServiceError, request_id: str) -> HttpAnswer:
    """Return the answer that says why there is none."""
    status = _STATUS.get(error.name, error.status)
    side = "Receiver" if status >= 500 else "Sender"
    code = _NAMES.get(error.name, error.name)
    inner = f"<Type>{side}</Type><Code>{code}</Code><Message>{_text(error.message)}</Message>"
    body = (
        f'<ErrorResponse xmlns="{NAMESPACE}"><Error>{inner}</Error>'
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return HttpAnswer(status, {**_HEADERS, REQUEST_ID: request_id}, body.encode())


@functools.cache
def _model() -> ServiceModel:
    return ServiceModel(Loader().load_service_model(STS_SERVICE, "service-2"), STS_SERVICE)


@functools.cache
def _operations() -> dict[str, Operation]:
    models = map(_model().operation_model, _model().operation_names)
    return {
        model.name: Operation(model.name, "POST", ("",), model.input_shape, model.output_shape)
        for model in models
    }


def _form(request: HttpRequest) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            request.body.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:
        raise invalid("The form cannot be parsed", "cannotParse") from None


def _whole_number(name: str, text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 10:
        raise invalid(f"{name} is not a whole number", "cannotParse")
    return int(text)


def _structure(shape: StructureShape, value: Mapping[str, Any]) -> Iterator[str]:
    for name, member in shape.members.items():
        if name in value:
            yield f"<{name}>{_written(member, value[name])}</{name}>"


def _written(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        return "".join(_structure(shape, value))
    if shape.type_name == "timestamp":
        moment = datetime.datetime.fromtimestamp(value, datetime.UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return _text(str(value))


def _text(value: str) -> str:
    """Return a text as XML can have it: no control characters, whoever has chosen them."""
    return escape("".join(one if one.isprintable() or one == "\n" else "?" for one in value))


_READ = {"string": lambda _, text: text, "integer": _whole_number}
