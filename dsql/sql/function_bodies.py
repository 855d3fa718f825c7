"""The bodies of functions in LANGUAGE SQL: their statements bound, the last one's rows as the result.

Parameters are $1, $2, ... and, where no column has their name, go by that as well, alone or behind the
function's. What is checked when a function is made is checked again when a body is bound to be run,
because what it names may have changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from dsql.access.authority import Authority
from dsql.access.requirements import CallUse, RelationUse
from dsql.catalog.catalog import Catalog
from dsql.catalog.dependencies import PG_PROC
from dsql.catalog.schema import SqlFunction, Use
from dsql.errors import SqlError, unsupported
from dsql.functions.coercion import CastContext
from dsql.sql import coercion
from dsql.sql.binding import Arguments, Binding, type_name
from dsql.sql.bound import FieldSelect
from dsql.sql.bound_query import BoundStatement, Query, Target
from dsql.sql.domains import checked_as
from dsql.sql.gate import ParsedStatement, parse_script, whole
from dsql.sql.libpg_query import grammar, scan
from dsql.sql.set_operations import wrapped
from dsql.sql.sql_functions import SqlCall
from dsql.sql.stored_uses import in_order, named_objects
from dsql.sql.tree_query import statement_tree
from dsql.sql.uses import requirements
from dsql.types import oids
from dsql.types.type import FormatSettings

_QUERIES = frozenset(("Select", "Insert", "Update", "Delete", "Merge"))


class BodyStatement(NamedTuple):
    """A statement of a body: as written, and bound."""

    parsed: ParsedStatement
    bound: BoundStatement


def parse_body(function: SqlFunction) -> list[ParsedStatement]:
    """Return the statements of a body. Raises SqlError 42601, 0A000 for what is no query."""
    statements = [_whole(statement) for statement in parse_script(function.body)]
    for statement in statements:
        if statement.name not in _QUERIES:
            word = statement.text.split(None, 1)[0].upper()
            raise unsupported(f"{word} is not allowed in an SQL function")
    return statements


def written_body(parsed: ParsedStatement) -> tuple[str, str]:
    """Return (form, text) of the body that a CreateFunctionStmt has outside of a string.

    `RETURN e` becomes the query SELECT e, BEGIN ATOMIC ... END what is in between.
    """
    start, end = _extent(parsed.text)
    written = parsed.text[start:end]
    if written[:6].upper() == "RETURN":
        return "r", "SELECT " + written[6:].strip()
    script = _with_selects(_BEGIN_ATOMIC.sub("", written)[: -len("END")].strip())
    return "a", "\n ".join(f"{statement.text};" for statement in parse_script(script))


def _with_selects(script: str) -> str:
    """Write SELECT for the word RETURN at the start of a statement."""
    encoded, done, written = script.encode(), 0, b""
    starts = True
    for token in scan(script):
        if token.token in _COMMENTS:
            continue
        word = encoded[token.start : token.end]
        if starts and word.upper() == b"RETURN":
            written += encoded[done : token.start] + b"SELECT"
            done = token.end
        starts = word == b";"
    return (written + encoded[done:]).decode()


_BEGIN_ATOMIC = re.compile(r"^BEGIN\s+ATOMIC\b", re.IGNORECASE)


def _extent(text: str) -> tuple[int, int]:
    """Return the characters between which the body stands: what follows the last option."""
    script, depth = text.encode(), 0
    tokens = [token for token in scan(text) if token.token not in _COMMENTS]
    for token in tokens:
        word = script[token.start : token.end].upper()
        depth += {b"(": 1, b")": -1}.get(word, 0)
        if depth == 0 and word in (b"RETURN", b"BEGIN"):
            last = tokens[-1]
            end = last.start if script[last.start : last.end] == b";" else last.end
            return len(script[: token.start].decode()), len(script[:end].decode())
    raise AssertionError("a body that the grammar has seen")


_COMMENTS = (grammar.SQL_COMMENT, grammar.C_COMMENT)


def _whole(statement: ParsedStatement) -> ParsedStatement:
    return whole(statement) if statement.lists or statement.alike else statement


def body_path(function: SqlFunction, search_path: Sequence[str]) -> Sequence[str]:
    """Return where the names in a body are looked up."""
    return search_path if function.form == "s" else function.path


def bind_body(
    call: SqlCall,
    catalog: Catalog,
    search_path: Sequence[str],
    settings: FormatSettings,
    *,
    authority: Authority | None,
    profile: str,
    folding: bool = True,
) -> list[BodyStatement]:
    """Return a body's statements for a call, the last one's columns being those of the result.

    Raises SqlError for what is wrong in it, 42P13 where the last statement is not what is returned.
    """
    function = call.function
    arguments = arguments_of(function)
    statements = []
    parsed = parse_body(function)
    for number, statement in enumerate(parsed, 1):
        binding = Binding(
            catalog,
            body_path(function, search_path),
            settings,
            list(call.argument_types),
            authority=authority,
            profile=profile,
            parameters_max=len(call.argument_types),
            arguments=arguments,
            folding=folding,
        )
        bound = _bind(binding, statement)
        if number == len(parsed):
            check_result(binding, call, bound)
        statements.append(BodyStatement(statement, bound))
    if not parsed and call.return_type != oids.VOID:
        raise _mismatch(call, _FINAL)
    return statements


def arguments_of(function: SqlFunction) -> Arguments:
    """Return the names by which a body's statements know the arguments."""
    return Arguments(function.name, tuple(one.name for one in function.inputs))


def _bind(binding: Binding, statement: ParsedStatement) -> BoundStatement:
    from dsql.sql.binder import bind_tree

    bound = bind_tree(binding, statement_tree(statement))
    return BoundStatement(
        bound,
        binding.parameter_types,
        frozenset(binding.tables),
        (*requirements(binding.uses), *binding.calls),
    )


def body_uses(statements: Sequence[BodyStatement], function: SqlFunction) -> tuple[Use, ...]:
    """Return what a body names: relations and their columns, and functions, but for itself."""
    found: set[Use] = set()
    own = Use(function.oid, class_oid=PG_PROC)
    for _, bound in statements:
        found |= {use for use in named_objects(bound.statement) if use.oid != function.oid}
        for required in bound.required:
            if isinstance(required, RelationUse):
                numbers = required.selected | required.inserted | required.updated
                found |= {Use(required.relation.oid, max(number, 0)) for number in numbers or {0}}
            elif isinstance(required, CallUse) and isinstance(required.function, SqlFunction):
                found |= {Use(required.function.oid, class_oid=PG_PROC)} - {own}
    return in_order(found)


# ---------------------------------------------------------------- the result

_FINAL = "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING."


def check_result(binding: Binding, call: SqlCall, statement: BoundStatement) -> None:
    """Give the last statement's columns the types of the result. Raises SqlError 42P13."""
    if call.return_type == oids.VOID:
        return
    body = statement.statement
    if not isinstance(body, Query) and body.returning is None:
        raise _mismatch(call, _FINAL)
    if call.columns:
        _check_row(binding, call, statement)
    elif call.return_type != oids.RECORD:
        _check_value(binding, call, statement)


def _check_value(binding: Binding, call: SqlCall, statement: BoundStatement) -> None:
    targets = _castable(statement, [call.return_type])
    if len(targets) != 1:
        raise _mismatch(call, "Final statement must return exactly one column.")
    if not _cast(binding, targets[0], call.return_type, call.function.domain):
        actual = type_name(targets[0].expression.type_oid)
        raise _mismatch(call, f"Actual return type is {actual}.")


def _check_row(binding: Binding, call: SqlCall, statement: BoundStatement) -> None:
    wanted = [type_oid for _, type_oid in call.columns]
    _spread_composite(call, statement)
    targets = _castable(statement, wanted, call.typmods)
    domains = [one.domain for one in call.function.outputs] or [0] * len(wanted)
    for number, (target, type_oid, domain) in enumerate(
        zip(targets, wanted, domains, strict=False), 1
    ):
        if not _cast(binding, target, type_oid, domain):
            actual, expected = type_name(target.expression.type_oid), type_name(type_oid)
            text = f"Final statement returns {actual} instead of {expected} at column {number}."
            raise _mismatch(call, text)
    for target, typmod in zip(targets, call.typmods, strict=False):
        target.expression = coercion.apply_typmod(target.expression, typmod, explicit=False)
    if len(targets) != len(wanted):
        amount = "few" if len(targets) < len(wanted) else "many"
        raise _mismatch(call, f"Final statement returns too {amount} columns.")


def _spread_composite(call: SqlCall, statement: BoundStatement) -> None:
    """Make of a query that returns one value of the result's composite type one of its fields."""
    query = statement.statement
    if not isinstance(query, Query):
        return
    targets = [target for target in query.targets if not target.junk]
    declared = call.function.return_type
    if len(targets) == 1 and targets[0].expression.type_oid == declared:
        statement.statement = query = wrapped(query)
        value = query.targets[0].expression
        query.targets = [
            Target(name, FieldSelect(type_oid=oid, record=value, index=at))
            for at, (name, oid) in enumerate(call.columns)
        ]


def _castable(
    statement: BoundStatement, wanted: list[int], typmods: Sequence[int] = ()
) -> list[Target]:
    """Return the columns of a statement, with a query around it where casts would change what it sees."""
    query = statement.statement
    if not isinstance(query, Query):
        assert query.returning is not None
        return query.returning
    targets = [target for target in query.targets if not target.junk]
    fits = [target.expression.type_oid for target in targets] == wanted
    fits = fits and all(typmod < 0 for typmod in typmods)
    plain = query.set_operation is None and not query.order_by and query.distinct_on is None
    if fits or plain:
        return targets
    statement.statement = query = wrapped(query)
    return query.targets


def _cast(binding: Binding, target: Target, type_oid: int, domain: int) -> bool:
    """Give a column a type, and have its values checked if they are of a domain; False if it cannot be."""
    done = coercion.coerce(binding, target.expression, type_oid, CastContext.ASSIGNMENT)
    if done is None:
        return False
    target.expression = checked_as(binding, done, domain)
    return True


def _mismatch(call: SqlCall, detail: str) -> SqlError:
    declared = type_name(call.return_type)
    message = f"return type mismatch in function declared to return {declared}"
    return SqlError("42P13", message, detail=detail)
