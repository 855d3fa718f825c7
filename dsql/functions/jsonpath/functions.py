"""jsonb_path_exists and its kin, and the operators @? and @@."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.function import Context
from dsql.functions.jsonpath.errors import PathError
from dsql.functions.jsonpath.evaluation import Question, all_items, has_items
from dsql.functions.jsonpath.items import Datetime
from dsql.types.json import dump, load
from dsql.types.jsonpath.parser import parse
from dsql.types.size import join

_DEFAULTS = ("{}", False)


def _question(
    context: Context, text: str, path: str, variables: str | None, *, zoned: bool
) -> Question:
    known = None if variables is None else load(variables)
    if known is not None and not isinstance(known, dict):
        raise SqlError(
            "22023",
            '"vars" argument is not an object',
            detail='Jsonpath parameters should be encoded as key-value pairs of "vars" object.',
        )
    return Question(parse(path), load(text), known, context, zoned)


def _text(item: Any) -> str:
    return dump(item.text() if isinstance(item, Datetime) else item)


def _define_family(suffix: str, *, zoned: bool) -> None:
    def items(
        context: Context, text: str, path: str, variables: str | None, silent: bool
    ) -> list[Any]:
        question = _question(context, text, path, variables, zoned=zoned)
        return all_items(question, silent=silent)

    def exists(
        context: Context, text: str, path: str, variables: str | None = None, silent: bool = True
    ) -> bool | None:
        try:
            return has_items(_question(context, text, path, variables, zoned=zoned))
        except PathError:
            if not silent:
                raise
            return None

    def match(
        context: Context, text: str, path: str, variables: str | None = None, silent: bool = True
    ) -> bool | None:
        found = items(context, text, path, variables, silent)
        if len(found) == 1 and (found[0] is None or isinstance(found[0], bool)):
            return found[0]
        if not silent:
            raise SqlError("22038", "single boolean result is expected")
        return None

    def query(*arguments: Any) -> Iterator[str]:
        return map(_text, items(*arguments))

    def array(*arguments: Any) -> str:
        return "[" + join(", ", map(_text, items(*arguments))) + "]"

    def first(*arguments: Any) -> str | None:
        found = items(*arguments)
        return _text(found[0]) if found else None

    functions: dict[str, Callable[..., Any]] = {
        "exists": exists, "match": match, "query": query, "query_array": array, "query_first": first,
    }  # fmt: skip
    for name, function in functions.items():
        define(f"jsonb_path_{name}{suffix}", function, defaults=_DEFAULTS, needs_context=True)
    if not zoned:
        define("jsonb_path_exists_opr", exists, needs_context=True)
        define("jsonb_path_match_opr", match, needs_context=True)


_define_family("", zoned=False)
_define_family("_tz", zoned=True)
