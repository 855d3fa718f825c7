"""Casts: which exist between two types, in which context, and the common type of several.

Beside the casts of pg_cast there are those that follow from rules: a literal of unknown type reads as any
type, arrays cast by their elements, and every type casts to the string types by its text format (on
assignment) and back (explicitly).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from dsql.errors import SqlError
from dsql.functions import registry
from dsql.functions.function import Context, Function
from dsql.functions.kept import kept
from dsql.functions.polymorphism import POLYMORPHIC, is_array
from dsql.types import oids
from dsql.types import registry as types
from dsql.types.array import from_zero, map_leaves
from dsql.types.range import of_range
from dsql.types.vector import VECTORS

MULTIRANGE_CAST_OID = 9002  # the function behind a cast to a user's multirange type has none either
ARRAY_CAST_OID = 9000  # the function behind a cast between array types has no pg_proc row


class CastContext(enum.IntEnum):
    """Where a cast happens; a cast allowed in a lower context is allowed in the higher ones."""

    IMPLICIT = 0
    ASSIGNMENT = 1
    EXPLICIT = 2


@dataclass(frozen=True, slots=True)
class Cast:
    """A way from one type to another; `function` None: the value stays as it is (binary-coercible).

    `via_text`: out through the source's text format and in through the target's; it then also needs
    the session's FormatSettings.
    """

    source: int
    target: int
    context: CastContext
    function: Function | None = None
    via_text: bool = False


_CONTEXTS = {"i": CastContext.IMPLICIT, "a": CastContext.ASSIGNMENT, "e": CastContext.EXPLICIT}


@kept(4096)
def find_cast(source: int, target: int, context: CastContext) -> Cast | None:
    """Return the cast from `source` to `target` allowed in `context`; None if there is none."""
    if source == target or target == oids.ANY:
        return Cast(source, target, CastContext.IMPLICIT)
    if source == oids.UNKNOWN:
        return Cast(source, target, CastContext.IMPLICIT, via_text=True)
    registered = registry.cast(source, target)
    if registered is not None:
        needed, function, via_text = registered
        if _CONTEXTS[needed] > context:
            return None
        return Cast(source, target, _CONTEXTS[needed], function, via_text)
    if types.is_composite(target) and types.is_composite(source):
        # What a record without a name may become is seen at the expression that makes it.
        names_none = oids.RECORD in (source, target)
        return Cast(source, target, CastContext.IMPLICIT) if names_none else None
    if target == oids.RECORD:
        return None
    if types.get(source).multirange_oid == target:
        return _cast_to_multirange(source, target, context)
    return _array_cast(source, target, context) or _text_cast(source, target, context)


def _cast_to_multirange(source: int, target: int, context: CastContext) -> Cast | None:
    """Return the cast of a user's range type to its multirange type, which is an explicit one."""
    function = Function(
        oid=MULTIRANGE_CAST_OID,
        name=types.get(target).name,
        argument_types=(source,),
        return_type=target,
        implementation=of_range,
        schema=types.get(target).schema,
    )
    is_allowed = context >= CastContext.EXPLICIT
    return Cast(source, target, CastContext.EXPLICIT, function) if is_allowed else None


def _array_cast(source: int, target: int, context: CastContext) -> Cast | None:
    if not (is_array(source) and is_array(target)) or target in VECTORS:
        return None
    element = find_cast(types.get(source).element_oid, types.get(target).element_oid, context)
    if element is None:
        return None
    if element.function is None and not element.via_text and source not in VECTORS:
        return Cast(source, target, element.context)
    return Cast(source, target, element.context, _array_function(source, target, element))


def _array_function(source: int, target: int, element: Cast) -> Function:
    """Return the function that casts every element."""

    def convert(context: Context, value: list[object]) -> list[object]:
        each = converter(element, context)
        return map_leaves(each, from_zero(value) if source in VECTORS else value)

    return Function(
        oid=ARRAY_CAST_OID,
        name=types.get(target).name.removeprefix("_"),
        argument_types=(source,),
        return_type=target,
        implementation=convert,
        volatility="s",
        needs_context=True,
    )


def converter(cast: Cast, context: Context):  # type: ignore[no-untyped-def]
    """Return the function of one non-NULL value that carries out a cast."""
    if cast.via_text:
        encode = types.get(cast.source).text_encoder(context.settings)
        decode = types.get(cast.target).text_decoder(context.settings)
        return lambda value: decode(encode(value))
    if cast.function is None:
        return lambda value: value
    implementation = cast.function.implementation
    if cast.function.needs_context:
        return lambda value: implementation(context, value)
    return implementation


def _text_cast(source: int, target: int, context: CastContext) -> Cast | None:
    """Return the cast through text: to strings on assignment, from strings if explicit."""
    if target in POLYMORPHIC or types.get(target).kind == "p":
        return None
    if types.get(target).category == "S" and context >= CastContext.ASSIGNMENT:
        return Cast(source, target, CastContext.ASSIGNMENT, via_text=True)
    if types.get(source).category == "S" and context >= CastContext.EXPLICIT:
        return Cast(source, target, CastContext.EXPLICIT, via_text=True)
    return None


def can_coerce(source: int, target: int) -> bool:
    """Return whether an implicit cast leads from `source` to `target`."""
    return find_cast(source, target, CastContext.IMPLICIT) is not None


def select_common_type(type_oids: Sequence[int]) -> int | tuple[int, int]:
    """Return the common type, or the two types that cannot be matched."""
    chosen = oids.UNKNOWN
    for oid in type_oids:
        if oid in (oids.UNKNOWN, chosen):
            continue
        if chosen == oids.UNKNOWN:
            chosen = oid
            continue
        current, other = types.get(chosen), types.get(oid)
        if current.category != other.category:
            return chosen, oid
        if not current.preferred and can_coerce(chosen, oid) and not can_coerce(oid, chosen):
            chosen = oid
    return oids.TEXT if chosen == oids.UNKNOWN else chosen


def common_type(type_oids: Sequence[int], context_name: str) -> int:
    """Return the type that CASE, UNION, COALESCE, ARRAY, VALUES, ... give their members.

    `context_name` is the word in the message. Raises SqlError 42804 if there is none, 42846 if a
    member does not cast to it.
    """
    chosen = select_common_type(type_oids)
    if isinstance(chosen, tuple):
        first, second = (types.get(oid).sql_name for oid in chosen)
        raise SqlError("42804", f"{context_name} types {first} and {second} cannot be matched")
    for oid in type_oids:
        if not can_coerce(oid, chosen):
            first, second = types.get(oid).sql_name, types.get(chosen).sql_name
            raise SqlError("42846", f"{context_name} could not convert type {first} to {second}")
    return chosen
