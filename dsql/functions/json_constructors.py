"""The constructors of SQL/JSON and IS JSON, which PostgreSQL has as expressions and not as functions.

Each is made once for each set of clauses and types, so that equal expressions have the same function.

`jsonb`: the result is one. `absent`: of NULLs there is no element or member; `unique`: a key must not
come twice (22030).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from dsql.errors import SqlError
from dsql.functions import json_text
from dsql.functions.function import Aggregate, Context, Function, Written
from dsql.functions.json_build import key_text, value_text
from dsql.types import oids, registry
from dsql.types.json import check_json, normalize, quote
from dsql.types.size import join

_scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


def _duplicate(key: str, jsonb: bool) -> SqlError:
    return SqlError(
        "22030", "duplicate JSON object key" if jsonb else f'duplicate JSON key "{key}"'
    )


def _key(context: Context, oid: int, value: Any) -> str:
    if value is None:
        raise SqlError("22004", "null value not allowed for object key")
    return key_text(context, oid, value, 1)


def _finished(text: str, jsonb: bool) -> str:
    return normalize(text) if jsonb else text


@lru_cache(256)
def json_object(types: tuple[int, ...], *, jsonb: bool, absent: bool, unique: bool) -> Function:
    """Return JSON_OBJECT of keys and values in turns."""

    def build(context: Context, *values: Any) -> str:
        seen: set[str] = set()
        members: list[str] = []
        for at in range(0, len(values), 2):
            key = _key(context, types[at], values[at])
            if unique and key in seen:
                raise _duplicate(key, jsonb)
            seen.add(key)
            if values[at + 1] is not None or not absent:
                text = value_text(context, types[at + 1], values[at + 1])
                members.append(f"{quote(key)} : {text}")
        return _finished("{" + join(", ", members) + "}", jsonb)

    absent_words = ["ABSENT ON NULL"] if absent else []
    written = _written("JSON_OBJECT", [*absent_words, *_UNIQUE[unique]], jsonb)
    return _function("json_object", types, build, jsonb, written)


@lru_cache(256)
def json_array(types: tuple[int, ...], *, jsonb: bool, absent: bool) -> Function:
    """Return JSON_ARRAY of values."""

    def build(context: Context, *values: Any) -> str:
        pairs = zip(types, values, strict=True)
        kept = ((oid, value) for oid, value in pairs if value is not None or not absent)
        texts = (value_text(context, oid, value) for oid, value in kept)
        return _finished("[" + join(", ", texts) + "]", jsonb)

    written = _written("JSON_ARRAY", [] if absent else ["NULL ON NULL"], jsonb)
    return _function("json_array", types, build, jsonb, written)


def _function(
    name: str, types: tuple[int, ...], build: Callable[..., str], jsonb: bool, written: Written
) -> Function:
    return Function(
        oid=0,
        name=name,
        argument_types=types,
        return_type=oids.JSONB if jsonb else oids.JSON,
        implementation=build,
        strict=False,
        volatility="s",
        needs_context=True,
        written=written,
    )


_UNIQUE = {False: [], True: ["WITH UNIQUE KEYS"]}


def _written(name: str, clauses: Sequence[str], jsonb: bool) -> Written:
    """Return what writes a constructor as PostgreSQL does, its clauses spelled out."""
    returning = f"RETURNING {'jsonb' if jsonb else 'json'}"

    def write(arguments: Sequence[str], order: str) -> str:
        if name.startswith("JSON_OBJECT"):
            keys, values = arguments[::2], arguments[1::2]
            arguments = [f"{key} : {value}" for key, value in zip(keys, values, strict=True)]
        parts = [", ".join(arguments), order, *clauses, returning]
        return f"{name}({' '.join(filter(None, parts))})"

    return write


@lru_cache(256)
def json_arrayagg(types: tuple[int, ...], *, jsonb: bool, absent: bool) -> Aggregate:
    """Return JSON_ARRAYAGG of a value."""
    (oid,) = types
    composite = registry.is_composite(oid) or registry.get(oid).category == "A"

    def item(context: Context, value: Any) -> str:
        return "" if value is None and absent else value_text(context, oid, value)

    def final(texts: list[str]) -> str | None:
        if not texts:
            return None
        text = "[" + join(", \n " if composite else ", ", filter(None, texts)) + "]"
        return _finished(text, jsonb)

    written = _written("JSON_ARRAYAGG", [] if absent else ["NULL ON NULL"], jsonb)
    return _aggregate("json_arrayagg", types, item, final, jsonb, written)


@lru_cache(256)
def json_objectagg(types: tuple[int, ...], *, jsonb: bool, absent: bool, unique: bool) -> Aggregate:
    """Return JSON_OBJECTAGG of a key and a value."""

    def item(context: Context, key: Any, value: Any) -> str:
        name = quote(_key(context, types[0], key))
        if value is None and absent:
            return name
        return f"{name} : {value_text(context, types[1], value)}"

    def final(texts: list[str]) -> str | None:
        if not texts:
            return None
        if unique:
            _check_unique((_scan(text)[0] for text in texts), jsonb)
        members = (text for text in texts if not absent or len(text) > _scan(text)[1])
        return _finished("{ " + join(", ", members) + " }", jsonb)

    absent_words = ["ABSENT ON NULL"] if absent else []
    written = _written("JSON_OBJECTAGG", [*absent_words, *_UNIQUE[unique]], jsonb)
    return _aggregate("json_objectagg", types, item, final, jsonb, written)


def _check_unique(keys: Iterable[str], jsonb: bool) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise _duplicate(key, jsonb)
        seen.add(key)


def _collect(texts: list[str], text: str) -> list[str]:
    texts.append(text)
    return texts


def _aggregate(
    name: str,
    types: tuple[int, ...],
    item: Callable[..., str],
    final: Callable[[list[str]], str | None],
    jsonb: bool,
    written: Written,
) -> Aggregate:
    return Aggregate(
        oid=0,
        name=name,
        argument_types=types,
        return_type=oids.JSONB if jsonb else oids.JSON,
        initial=list,
        step=_collect,
        final=final,
        step_template="({0}.append({1}) or {0})",
        keeps_nulls=True,
        gathers=True,
        item=item,
        written=written,
    )


@lru_cache(256)
def is_json(argument_type: int, kind: str, *, unique: bool) -> Function:
    """Return the test of a text, json or jsonb. `kind`: object, array, scalar, or "" for any."""
    words = " ".join(filter(None, ("JSON", kind.upper(), *_UNIQUE[unique])))

    def test(text: str) -> bool:
        try:
            check_json(text)
        except SqlError as error:
            if error.sqlstate != "22P02":
                raise
            return False
        found = json_text.kind(text)
        shape = found if found in ("object", "array") else "scalar"
        return kind in ("", shape) and not (unique and _has_duplicate(text))

    return Function(
        oid=0,
        name="is_json",
        argument_types=(argument_type,),
        return_type=oids.BOOL,
        implementation=test,
        written=lambda texts, _order: f"({texts[0]} IS {words})",
    )


class _DuplicateError(Exception):
    pass


def _has_duplicate(text: str) -> bool:
    """Return whether an object in a JSON text has a key twice."""

    def check(pairs: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in pairs}) < len(pairs):
            raise _DuplicateError

    try:
        json.loads(text, object_pairs_hook=check, parse_int=str, parse_float=str)
    except _DuplicateError:
        return True
    return False
