"""All functions, aggregates, window functions, operators and casts by name.

Other packages add theirs through the `register_*` functions when they are imported (the catalog's
information functions do). A *specializer* belongs to a callee whose work depends on the actual types of
its arguments: it is given those and returns the callee that resolution hands out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dsql.functions.function import Aggregate, Function, Operator, WindowFunction
from dsql.types import registry as types

Callee = Function | Aggregate | WindowFunction
Specializer = Callable[[tuple[int, ...]], Callee]

_callees: dict[str, list[Callee]] = {}
_by_oid: dict[int, Callee] = {}
_specializers: dict[int, Specializer] = {}
_operators: dict[str, list[Operator]] = {}
_casts: dict[tuple[int, int], tuple[str, Function | None, bool]] = {}
_listeners: list[Callable[[], object]] = []


def on_change(listener: Callable[[], object]) -> None:
    """Call `listener` after each registration (resolution forgets what it has cached)."""
    _listeners.append(listener)


def _changed() -> None:
    for listener in _listeners:
        listener()


def _register(callee: Callee, specializer: Specializer | None) -> None:
    assert callee.oid not in _by_oid, (callee.oid, callee.name)
    _by_oid[callee.oid] = callee
    _callees.setdefault(callee.name, []).append(callee)
    if specializer is not None:
        _specializers[callee.oid] = specializer
    _changed()


def register_function(new: Function, specializer: Specializer | None = None) -> Function:
    """Add a function; each OID may be taken once."""
    _register(new, specializer)
    return new


def register_aggregate(new: Aggregate, specializer: Specializer | None = None) -> Aggregate:
    """Add an aggregate; each OID may be taken once."""
    _register(new, specializer)
    return new


def register_window_function(new: WindowFunction) -> WindowFunction:
    """Add a window function; each OID may be taken once."""
    _register(new, None)
    return new


def register_operator(new: Operator) -> Operator:
    """Add an operator."""
    _operators.setdefault(new.name, []).append(new)
    _changed()
    return new


def register_cast(
    source: int,
    target: int,
    context: str,
    function: Function | None,
    *,
    via_text: bool = False,
) -> None:
    """Add a cast; `context` is pg_cast.castcontext: i, a or e."""
    _casts[source, target] = context, function, via_text
    _changed()


def candidates(name: str) -> list[Callee]:
    """Return every function, aggregate and window function of a name."""
    return _callees.get(name, [])


def operators(name: str) -> list[Operator]:
    """Return every operator of a name."""
    return _operators.get(name, [])


def cast(source: int, target: int) -> tuple[str, Function | None, bool] | None:
    """Return (context, function, via_text) of a registered cast."""
    return _casts.get((source, target))


def specializer(oid: int) -> Specializer | None:
    """Return the specializer of a callee, if it has one."""
    return _specializers.get(oid)


def by_oid(oid: int) -> Callee | None:
    """Return the callee with this OID."""
    return _by_oid.get(oid)


def all_callees() -> Iterator[Callee]:
    """Yield every function, aggregate and window function in OID order (pg_proc)."""
    for oid in sorted(_by_oid):
        yield _by_oid[oid]


def all_operators() -> Iterator[Operator]:
    """Yield every operator (pg_operator)."""
    for named in _operators.values():
        yield from named


def all_casts() -> Iterator[tuple[int, int, str, Function | None, bool]]:
    """Yield (source, target, context, function, via_text) of every cast (pg_cast)."""
    for (source, target), entry in _casts.items():
        yield (source, target, *entry)


def signature(
    name: str, argument_oids: tuple[int, ...], argument_names: tuple[str, ...] = ()
) -> str:
    """Return "name(integer, a => text)" as error messages spell a call; the last ones have the names."""
    words = [types.get(oid).sql_name for oid in argument_oids]
    positional = len(words) - len(argument_names)
    named = zip(argument_names, words[positional:], strict=True)
    return f"{name}({', '.join([*words[:positional], *(f'{n} => {word}' for n, word in named)])})"
