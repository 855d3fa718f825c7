"""Changing jsonb: ||, -, #-, jsonb_set, jsonb_insert, strip_nulls, jsonb_pretty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dsql.errors import SqlError
from dsql.functions import json_text
from dsql.functions.definition import define
from dsql.types.json import dump, key_order, load, quote
from dsql.types.size import join


def concat(left: Any, right: Any) -> Any:
    """Join two loaded values: objects merge, anything else becomes arrays that are put together."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left | right
    first = left if isinstance(left, list) else [left]
    return first + (right if isinstance(right, list) else [right])


def delete_keys(value: Any, keys: list[str | None]) -> Any:
    """Return the value without members or string elements of these names."""
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if key not in keys}
    if isinstance(value, list):
        return [item for item in value if not (isinstance(item, str) and item in keys)]
    raise SqlError("22023", "cannot delete from scalar")


def delete_element(value: Any, index: int) -> Any:
    """Return the array without one element (negative: from the end)."""
    if isinstance(value, dict):
        raise SqlError("22023", "cannot delete from object using integer index")
    if not isinstance(value, list):
        raise SqlError("22023", "cannot delete from scalar")
    if not -len(value) <= index < len(value):
        return value
    index %= len(value)
    return value[:index] + value[index + 1 :]


def _index(step: str, number: int) -> int:
    try:
        return int(step)
    except ValueError:
        raise SqlError(
            "22P02", f'path element at position {number} is not an integer: "{step}"'
        ) from None


def _check_path(path: list[str | None]) -> list[str]:
    if path and isinstance(path[0], list):
        raise SqlError("2202E", "wrong number of array subscripts")
    for number, step in enumerate(path, 1):
        if step is None:
            raise SqlError("22004", f"path element at position {number} is null")
    return [step for step in path if step is not None]


def delete_path(value: Any, path: list[str], number: int = 1) -> Any:
    """Return the value without what the path leads to."""
    if not path:
        return value
    if isinstance(value, dict):
        if path[0] not in value:
            return value
        if len(path) == 1:
            return {key: item for key, item in value.items() if key != path[0]}
        return value | {path[0]: delete_path(value[path[0]], path[1:], number + 1)}
    if isinstance(value, list):
        index = _index(path[0], number)
        if not -len(value) <= index < len(value):
            return value
        index %= len(value)
        middle = [] if len(path) == 1 else [delete_path(value[index], path[1:], number + 1)]
        return value[:index] + middle + value[index + 1 :]
    return value


def set_path(value: Any, path: list[str], new: Any, create: bool, number: int = 1) -> Any:
    """Return the value with `new` where the path leads; `create` adds a missing last step."""
    if not path:
        return value
    last = len(path) == 1
    if isinstance(value, dict):
        if path[0] not in value:
            return value | {path[0]: new} if last and create else value
        inner = new if last else set_path(value[path[0]], path[1:], new, create, number + 1)
        return value | {path[0]: inner}
    if isinstance(value, list):
        index = _index(path[0], number)
        if not -len(value) <= index < len(value):
            if not (last and create):
                return value
            return [new, *value] if index < 0 else [*value, new]
        index %= len(value)
        inner = new if last else set_path(value[index], path[1:], new, create, number + 1)
        return [*value[:index], inner, *value[index + 1 :]]
    return value


def insert_path(value: Any, path: list[str], new: Any, after: bool, number: int = 1) -> Any:
    """Return the value with `new` inserted before (or after) where the path leads."""
    if not path:
        return value
    last = len(path) == 1
    if isinstance(value, dict):
        if not last:
            if path[0] not in value:
                return value
            return value | {path[0]: insert_path(value[path[0]], path[1:], new, after, number + 1)}
        if path[0] in value:
            raise SqlError(
                "22023",
                "cannot replace existing key",
                hint="Try using the function jsonb_set to replace key value.",
            )
        return value | {path[0]: new}
    if isinstance(value, list):
        index = _index(path[0], number)
        if not -len(value) <= index < len(value):
            return value if not last else [new, *value] if index < 0 else [*value, new]
        index %= len(value)
        if last:
            at = index + after
            return [*value[:at], new, *value[at:]]
        inner = insert_path(value[index], path[1:], new, after, number + 1)
        return [*value[:index], inner, *value[index + 1 :]]
    return value


def _check_container(value: Any) -> Any:
    if not isinstance(value, dict | list):
        raise SqlError("22023", "cannot set path in scalar")
    return value


def _set(text: str, path: list[str | None], new: str, create: bool = True) -> str:
    return dump(set_path(_check_container(load(text)), _check_path(path), load(new), create))


def _set_lax(
    text: Any, path: Any, new: Any, create: Any = True, treatment: Any = "use_json_null"
) -> str | None:
    """jsonb_set with a rule for a NULL new value."""
    if text is None or path is None or create is None:
        return None
    if new is not None:
        return _set(text, path, new, create)
    match treatment:
        case "use_json_null":
            return _set(text, path, "null", create)
        case "return_target":
            return str(text)
        case "delete_key":
            return _delete_path(text, path)
        case "raise_exception":
            raise SqlError(
                "22004",
                "JSON value must not be null",
                detail='Exception was raised because null_value_treatment is "raise_exception".',
                hint="To avoid, either change the null_value_treatment argument or ensure that an SQL"
                " NULL is not passed.",
            )
    raise SqlError(
        "22023",
        'null_value_treatment must be "delete_key", "return_target", "use_json_null", or'
        ' "raise_exception"',
    )


def _insert(text: str, path: list[str | None], new: str, after: bool = False) -> str:
    return dump(insert_path(_check_container(load(text)), _check_path(path), load(new), after))


def _delete_path(text: str, path: list[str | None]) -> str:
    value = load(text)
    if not isinstance(value, dict | list):
        raise SqlError("22023", "cannot delete path in scalar")
    if not value:
        return text
    return dump(delete_path(value, _check_path(path)))


def strip_nulls(value: Any) -> Any:
    """Return the value without object members that are null, at every depth."""
    if isinstance(value, dict):
        return {key: strip_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [strip_nulls(item) for item in value]
    return value


def _json_strip_nulls(text: str) -> str:
    match json_text.kind(text):
        case "object":
            kept = [(k, v) for k, v in json_text.members(text) if json_text.kind(v) != "null"]
            return "{" + join(",", (f"{quote(k)}:{_json_strip_nulls(v)}" for k, v in kept)) + "}"
        case "array":
            return "[" + join(",", map(_json_strip_nulls, json_text.elements(text))) + "]"
    return text.strip(" \t\n\r")


def pretty(value: Any) -> str:
    """Return a loaded value as jsonb_pretty indents it. Raises SqlError 54000."""
    return join("", _pretty_pieces(value))


_NOTHING = object()


def _pretty_pieces(value: Any) -> Iterator[str]:
    """Yield the text of a value piece by piece: each is made once, however deep it lies."""
    waiting = [("", -1, "", value)]  # separator, depth, text before the value, value
    while waiting:
        separator, depth, text, value = waiting.pop()
        if depth >= 0:
            yield f"{separator}\n{'    ' * depth}{text}"
        if isinstance(value, dict):
            members = [(f"{quote(key)}: ", value[key]) for key in sorted(value, key=key_order)]
        elif isinstance(value, list):
            members = [("", item) for item in value]
        else:
            if value is not _NOTHING:
                yield dump(value)
            continue
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        yield opening
        level = max(depth, 0)
        waiting.append(("", level, closing, _NOTHING))
        waiting.extend(
            ("," if at else "", level + 1, *members[at]) for at in reversed(range(len(members)))
        )


define("jsonb_concat", lambda left, right: dump(concat(load(left), load(right))))
define("jsonb_delete(jsonb,text)", lambda text, key: dump(delete_keys(load(text), [key])))
define("jsonb_delete(jsonb,_text)", lambda text, keys: dump(delete_keys(load(text), keys)))
define("jsonb_delete(jsonb,int4)", lambda text, index: dump(delete_element(load(text), index)))
define("jsonb_delete_path", _delete_path)
define("jsonb_set", _set, defaults=(True,))
define("jsonb_set_lax", _set_lax, defaults=(True, "use_json_null"))
define("jsonb_insert", _insert, defaults=(False,))
define("json_strip_nulls", _json_strip_nulls)
define("jsonb_strip_nulls", lambda text: dump(strip_nulls(load(text))))
define("jsonb_pretty", lambda text: pretty(load(text)))
