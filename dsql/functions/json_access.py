"""Reading json and jsonb: ->, ->>, #>, ?, @>, their functions, and the set-returning ones."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from dsql.errors import SqlError
from dsql.functions import json_text
from dsql.functions.arithmetic import check_int2, check_int4, check_int8
from dsql.functions.definition import define
from dsql.functions.number_casts import numeric_to_float8
from dsql.types.array import leaves
from dsql.types.floating import round_float4
from dsql.types.json import dump, key_order, load
from dsql.types.json_errors import check_escapes
from dsql.types.numeric import rescale

_MISSING = object()


def kind_of(value: Any) -> str:
    """Return jsonb_typeof of a loaded value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "number"


def text_of(value: Any) -> str | None:
    """Return what ->> makes of a loaded jsonb value."""
    return None if value is None else value if isinstance(value, str) else dump(value)


def _dumped(value: Any) -> str | None:
    return None if value is _MISSING else dump(value)


def _texted(value: Any) -> str | None:
    return None if value is _MISSING else text_of(value)


def member(value: Any, key: str) -> Any:
    """Return a member of a loaded object, _MISSING if there is none."""
    return value.get(key, _MISSING) if isinstance(value, dict) else _MISSING


def element(value: Any, index: int) -> Any:
    """Return an element of a loaded array (negative: from the end), _MISSING if there is none.

    A scalar is an array of itself here, because that is how jsonb keeps it.
    """
    if not isinstance(value, list | dict):
        value = [value]
    if isinstance(value, list) and -len(value) <= index < len(value):
        return value[index]
    return _MISSING


def follow(value: Any, path: list[str | None]) -> Any:
    """Return what a path of keys and indexes leads to, _MISSING if nowhere."""
    for step in leaves(path):
        if step is None:
            return _MISSING
        if isinstance(value, list):
            index = _as_index(step)
            value = _MISSING if index is None else element(value, index)
        else:
            value = member(value, step)
        if value is _MISSING:
            return _MISSING
    return value


def _as_index(step: str) -> int | None:
    try:
        return int(step)
    except ValueError:
        return None


def json_member(text: str, key: str) -> str | None:
    """Return the text of a json object's member; the last one of duplicates."""
    if json_text.kind(text) != "object":
        return None
    return dict(json_text.members(text)).get(key)


def json_element(text: str, index: int) -> str | None:
    """Return the text of a json array's element (negative: from the end)."""
    if json_text.kind(text) != "array":
        return None
    check_escapes(text)
    elements = json_text.elements(text)
    return elements[index] if -len(elements) <= index < len(elements) else None


def json_follow(text: str, path: list[str | None]) -> str | None:
    """Return the text that a path of keys and indexes leads to."""
    found: str | None = text
    for step in leaves(path):
        if step is None or found is None:
            return None
        if json_text.kind(found) == "array":
            index = _as_index(step)
            found = None if index is None else json_element(found, index)
        else:
            found = json_member(found, step)
    return found


def contains(left: Any, right: Any) -> bool:
    """Return whether loaded `left` contains `right` (@>); a top-level array contains a bare scalar."""
    if isinstance(left, list) and not isinstance(right, list | dict):
        return any(_same(item, right) for item in left)
    return _contains(left, right)


def _contains(left: Any, right: Any) -> bool:
    if isinstance(right, dict):
        return isinstance(left, dict) and all(
            key in left and _contains(left[key], item) for key, item in right.items()
        )
    if isinstance(right, list):
        return isinstance(left, list) and all(
            any(_contains(item, wanted) for item in left) for wanted in right
        )
    return _same(left, right)


def _same(left: Any, right: Any) -> bool:
    """Compare scalars: 1 equals 1.0 but not true."""
    return kind_of(left) == kind_of(right) and bool(left == right)


def exists(text: str, key: str) -> bool:
    """Return whether a string is a top-level key or array element (?)."""
    value = load(text)
    if isinstance(value, list):
        return any(isinstance(item, str) and item == key for item in value)
    return key in value if isinstance(value, dict) else value == key


def _each(value: Any, function: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        what = "an array" if isinstance(value, list) else "a non-object"
        raise SqlError("22023", f"cannot call {function} on {what}")
    return [(key, value[key]) for key in sorted(value, key=key_order)]


def _members(text: str, function: str) -> list[tuple[str, str]]:
    what = json_text.kind(text)
    if what != "object":
        name = "an array" if what == "array" else "a scalar"
        raise SqlError("22023", f"cannot call {function} on {name}")
    return json_text.members(text)


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        what = "an object" if isinstance(value, dict) else "a scalar"
        raise SqlError("22023", f"cannot extract elements from {what}")
    return value


def _elements(text: str, function: str) -> list[str]:
    what = json_text.kind(text)
    if what != "array":
        name = "a non-array" if what == "object" else "a scalar"
        raise SqlError("22023", f"cannot call {function} on {name}")
    return json_text.elements(text)


def _keys(value: Any) -> list[str]:
    if not isinstance(value, dict):
        what = "an array" if isinstance(value, list) else "a scalar"
        raise SqlError("22023", f"cannot call jsonb_object_keys on {what}")
    return sorted(value, key=key_order)


def _json_keys(text: str) -> Iterator[str]:
    return (key for key, _ in _members(text, "json_object_keys"))


def _length(value: Any) -> int:
    if not isinstance(value, list):
        what = "a non-array" if isinstance(value, dict) else "a scalar"
        raise SqlError("22023", f"cannot get array length of {what}")
    return len(value)


def _json_length(text: str) -> int:
    what = json_text.kind(text)
    if what != "array":
        name = "a non-array" if what == "object" else "a scalar"
        raise SqlError("22023", f"cannot get array length of {name}")
    return len(json_text.elements(text))


def _scalar(text: str, wanted: str, sql_name: str) -> Any:
    """Return a jsonb scalar for a cast. Raises SqlError 22023."""
    value = load(text)
    if kind_of(value) != wanted:
        raise SqlError("22023", f"cannot cast jsonb {kind_of(value)} to type {sql_name}")
    return value


def _number(text: str, sql_name: str) -> Decimal:
    return Decimal(_scalar(text, "number", sql_name))


define("json_object_field", json_member)
define("json_object_field_text", lambda text, key: json_text.as_text(json_member(text, key)))
define("json_array_element", json_element)
define("json_array_element_text", lambda text, at: json_text.as_text(json_element(text, at)))
define("json_extract_path", json_follow)
define("json_extract_path_text", lambda text, path: json_text.as_text(json_follow(text, path)))
define("jsonb_object_field", lambda text, key: _dumped(member(load(text), key)))
define("jsonb_object_field_text", lambda text, key: _texted(member(load(text), key)))
define("jsonb_array_element", lambda text, index: _dumped(element(load(text), index)))
define("jsonb_array_element_text", lambda text, index: _texted(element(load(text), index)))
define("jsonb_extract_path", lambda text, path: _dumped(follow(load(text), path)))
define("jsonb_extract_path_text", lambda text, path: _texted(follow(load(text), path)))
define("jsonb_contains", lambda left, right: contains(load(left), load(right)))
define("jsonb_contained", lambda left, right: contains(load(right), load(left)))
define("jsonb_exists", exists)
define(
    "jsonb_exists_any",
    lambda text, keys: any(k is not None and exists(text, k) for k in leaves(keys)),
)
define(
    "jsonb_exists_all", lambda text, keys: all(k is None or exists(text, k) for k in leaves(keys))
)
define("json_typeof", json_text.kind)
define("jsonb_typeof", lambda text: kind_of(load(text)))
define("json_array_length", _json_length)
define("jsonb_array_length", lambda text: _length(load(text)))
define("json_object_keys", _json_keys)
define("jsonb_object_keys", lambda text: _keys(load(text)))
define("json_each", lambda text: _members(text, "json_each"))
define("json_each_text",
       lambda text: [(k, json_text.as_text(v)) for k, v in _members(text, "json_each_text")])  # fmt: skip
define("jsonb_each", lambda text: [(k, dump(v)) for k, v in _each(load(text), "jsonb_each")])
define("jsonb_each_text",
       lambda text: [(k, text_of(v)) for k, v in _each(load(text), "jsonb_each_text")])  # fmt: skip
define("json_array_elements", lambda text: _elements(text, "json_array_elements"))
define("json_array_elements_text",
       lambda text: map(json_text.as_text, _elements(text, "json_array_elements_text")))  # fmt: skip
define("jsonb_array_elements", lambda text: [dump(v) for v in _items(load(text))])
define("jsonb_array_elements_text", lambda text: [text_of(v) for v in _items(load(text))])
define("bool(jsonb)", lambda text: _scalar(text, "boolean", "boolean"))
define("numeric(jsonb)", lambda text: _number(text, "numeric"))
define("int2(jsonb)", lambda text: check_int2(int(rescale(_number(text, "smallint"), 0))))
define("int4(jsonb)", lambda text: check_int4(int(rescale(_number(text, "integer"), 0))))
define("int8(jsonb)", lambda text: check_int8(int(rescale(_number(text, "bigint"), 0))))
define("float8(jsonb)", lambda text: numeric_to_float8(_number(text, "double precision")))
define("float4(jsonb)", lambda text: round_float4(numeric_to_float8(_number(text, "real"))))
