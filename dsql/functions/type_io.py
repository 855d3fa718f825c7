"""The functions that types are read and written by: int4in, int4out, int4recv, int4send, ...

Clients look them up more than they call them: a driver that loads types knows an array by its input
function. Their texts and bytes are those of `dsql.types`. Nobody has a value of type internal, so what
receives one is there by name only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple, NoReturn

from dsql.errors import unsupported
from dsql.functions.definition import Row, define, read, row_of
from dsql.functions.function import Context
from dsql.types import oids, registry
from dsql.types.type import FormatSettings
from dsql.types.typmod import format_type


class TypeFunctions(NamedTuple):
    """The OIDs of a type's functions, 0 for none, in the order of pg_type."""

    input: int
    output: int
    receive: int
    send: int
    modifier_input: int
    modifier_output: int


@cache
def type_functions() -> dict[str, TypeFunctions]:
    """Return the functions of every type by its name."""
    return {
        name: TypeFunctions(*(0 if one == "-" else row_of(one).oid for one in functions))
        for name, *functions in read("type_io.tsv")
    }


def io_functions(type_name: str) -> dict[str, int]:
    """Return what pg_type says of the functions of a type."""
    functions = type_functions()[type_name]
    return {
        "typinput": functions.input,
        "typoutput": functions.output,
        "typreceive": functions.receive,
        "typsend": functions.send,
        "typmodin": functions.modifier_input,
        "typmodout": functions.modifier_output,
    }


# What one function writes for many types: enums, arrays, ranges.
_GENERIC = (oids.ANYENUM, oids.ANYARRAY, oids.ANYRANGE, oids.ANYMULTIRANGE)
# Of (settings, *arguments).
Implementation = Callable[..., Any]


def _input(row: Row) -> Implementation:
    kind = registry.get(row.return_type)

    def from_text(settings: FormatSettings, text: str, *_modifier: int) -> Any:
        return kind.text_decoder(settings)(text.encode())

    return from_text


def _output(row: Row) -> Implementation:
    return _output_of(row.argument_types[0])


def _output_of(oid: int) -> Implementation:
    kind = registry.get(oid)
    return lambda settings, value: kind.text_encoder(settings)(value).decode()


def _send(row: Row) -> Implementation:
    return _send_of(row.argument_types[0])


def _send_of(oid: int) -> Implementation:
    kind = registry.get(oid)
    return lambda _settings, value: kind.binary_encode(value)


def _modifier_output(row: Row) -> Implementation:
    kind = registry.find(row.name.removesuffix("typmodout"))
    assert kind is not None, row.name

    def suffix(_settings: FormatSettings, typmod: int) -> str:
        _, parenthesis, rest = format_type(kind.oid, typmod).partition("(")
        return parenthesis + rest

    return suffix


def _uncallable(row: Row) -> Implementation:
    def refuse(*_arguments: Any) -> NoReturn:
        raise unsupported(f"function {row.name} cannot be called")

    return refuse


_MAKERS = (_input, _output, _uncallable, _send, _uncallable, _modifier_output)


def _define(name: str, make: Callable[[Row], Implementation]) -> None:
    row = row_of(name)
    makers: dict[Any, Callable[[int], Implementation]] = {_output: _output_of, _send: _send_of}
    of_type = makers.get(make)
    if of_type is not None and row.argument_types[0] in _GENERIC:
        typed = lambda oid: partial(_with_settings, of_type(oid))  # noqa: E731
        define(name, typed=typed, needs_context=True)
        return
    kinds = [registry.get(oid) for oid in (row.return_type, *row.argument_types[:1])]
    is_pseudo = any(kind.kind == "p" and kind.oid != oids.CSTRING for kind in kinds)
    implementation = (_uncallable if is_pseudo else make)(row)
    if row.flags[2] == "i":  # then it depends on no setting
        define(name, partial(implementation, FormatSettings()))
    else:
        define(name, partial(_with_settings, implementation), needs_context=True)


def _with_settings(implementation: Implementation, context: Context, *arguments: Any) -> Any:
    return implementation(context.settings, *arguments)


def _define_all() -> None:
    for handler in ("array", "jsonb", "raw_array"):
        _define(f"{handler}_subscript_handler", _uncallable)
    known = set()
    for _type, *names in read("type_io.tsv"):
        for name, make in zip(names, _MAKERS, strict=True):
            if name != "-" and name not in known:
                known.add(name)
                _define(name, make)


_define_all()
