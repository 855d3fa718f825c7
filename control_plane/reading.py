"""From an HTTP request to an operation's input, checked against its shape (rest-json).

Whatever is wrong with it is found at once and listed, in the words of Smithy's servers
(https://smithy.io/2.0/spec/constraint-traits.html). Members that the model does not know are ignored.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from control_plane.failures import ServiceError, invalid
from control_plane.messages import HttpRequest
from control_plane.service_model import Route, Shape, StructureShape

QUERY_FIELDS_MAX = 300  # tag keys, above all
Fields = list[tuple[str, str]]
Input = dict[str, Any]


def read_input(found: Route, request: HttpRequest) -> Input:
    """Return the members of an operation's input. Raises ServiceError: a ValidationException."""
    shape = found.operation.takes
    if shape is None:
        return {}
    query = read_query(request.query)
    body = _read_body(request.body)
    members: Input = {}
    for name, member in shape.members.items():
        value = _located(name, member, found.labels, query, body)
        if value is not None:
            members[name] = value
    return check_members(shape, members)


def check_members(shape: StructureShape, members: Input) -> Input:
    """Return the members that a shape knows, if they are what it says. Raises ServiceError."""
    wrong: Fields = []
    checked = _structure(shape, members, "", wrong)
    if wrong:
        count = f"{len(wrong)} validation error{'s' if len(wrong) > 1 else ''} detected. "
        raise invalid(count + "; ".join(text for _, text in wrong), "fieldValidationFailed", wrong)
    return checked


def read_query(query: str) -> list[tuple[str, str]]:
    """Return the names and values of a query string. Raises ServiceError."""
    try:
        return parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX
        )
    except ValueError:
        raise _unreadable("The query string cannot be parsed") from None


def _read_body(body: bytes) -> Mapping[str, Any]:
    if not body:
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise _unreadable("The body is not JSON") from None
    if not isinstance(found, dict):
        raise _unreadable("The body is not a JSON object")
    return found


def _located(
    name: str,
    shape: Shape,
    labels: Mapping[str, str],
    query: list[tuple[str, str]],
    body: Mapping[str, Any],
) -> Any:
    """Return what a request has for a member, None for nothing, from where the model says."""
    wire_name = shape.serialization.get("name", name)
    match shape.serialization.get("location"):
        case "uri":
            return labels[wire_name]
        case "querystring":
            values = [value for found, value in query if found == wire_name]
            if not values:
                return None
            return values if shape.type_name == "list" else _from_text(shape, values[-1], name)
        case _:
            return body.get(wire_name)


def _from_text(shape: Shape, text: str, name: str) -> Any:
    if shape.type_name == "integer":
        if not re.fullmatch("-?[0-9]{1,10}", text):
            raise _unreadable(f"{name} is not a whole number")
        return int(text)
    assert shape.type_name == "string", "nothing else comes in a query string"
    return text


def _check(shape: Shape, value: Any, path: str, wrong: Fields) -> Any:
    kind = _KINDS.get(shape.type_name)
    assert kind is not None, f"no input has a {shape.type_name}"
    types, check = kind
    if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
        raise _unreadable(f"The value at '{path}' is not a {shape.type_name}")
    return check(shape, value, path, wrong)


def _structure(shape: Shape, value: Mapping[str, Any], path: str, wrong: Fields) -> Input:
    assert isinstance(shape, StructureShape)
    found: Input = {}
    for name, member in shape.members.items():
        given = value.get(name)
        if given is not None:
            found[name] = _check(member, given, f"{path}/{name}", wrong)
        elif name in shape.required_members:
            _fail(wrong, f"{path}/{name}", "Value", "Member must not be null")
    return found


def _string(shape: Shape, value: str, path: str, wrong: Fields) -> str:
    rules = shape.metadata
    _check_length(rules, len(value), path, wrong)
    pattern = rules.get("pattern")
    if pattern is not None and not _pattern(pattern).fullmatch(value):
        text = f"Member must satisfy regular expression pattern: {pattern}"
        _fail(wrong, path, "Value", text)
    if rules.get("enum") and value not in rules["enum"]:
        text = f"Member must satisfy enum value set: [{', '.join(rules['enum'])}]"
        _fail(wrong, path, "Value", text)
    return value


def _integer(shape: Shape, value: int, path: str, wrong: Fields) -> int:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if (low is not None and value < low) or (high is not None and value > high):
        _fail(wrong, path, "Value", f"Member must be between {low} and {high}, inclusive")
    return value


def _list(shape: Any, value: list[Any], path: str, wrong: Fields) -> list[Any]:
    _check_length(shape.metadata, len(value), path, wrong)
    return [
        _check(shape.member, member, f"{path}/{number}", wrong)
        for number, member in enumerate(value)
    ]


def _map(shape: Any, value: dict[str, Any], path: str, wrong: Fields) -> dict[str, Any]:
    _check_length(shape.metadata, len(value), path, wrong)
    return {
        _check(shape.key, key, f"{path}/{key}", wrong): _check(
            shape.value, member, f"{path}/{key}", wrong
        )
        for key, member in value.items()
    }


def _same(_shape: Shape, value: Any, _path: str, _wrong: Fields) -> Any:
    return value


def _check_length(rules: Mapping[str, Any], length: int, path: str, wrong: Fields) -> None:
    low, high = rules.get("min", 0), rules.get("max")
    if length < low or (high is not None and length > high):
        text = f"Member must have length between {low} and {high}, inclusive"
        _fail(wrong, path, f"Value with length {length}", text)


def _fail(wrong: Fields, path: str, value: str, text: str) -> None:
    wrong.append(
        (path.removeprefix("/"), f"{value} at '{path}' failed to satisfy constraint: {text}")
    )


@functools.lru_cache(256)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.ASCII)  # as the services' own language takes \w and \d


def _unreadable(message: str) -> ServiceError:
    return invalid(message, "cannotParse")


_Check = Callable[[Any, Any, str, Fields], Any]
_KINDS: dict[str, tuple[type, _Check]] = {
    "structure": (dict, _structure),
    "string": (str, _string),
    "integer": (int, _integer),
    "boolean": (bool, _same),
    "list": (list, _list),
    "map": (dict, _map),
}
