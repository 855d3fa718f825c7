"""Binds the constructors of SQL/JSON and IS JSON."""

from __future__ import annotations

from sqlglot import exp

from dsql.errors import SqlError, unsupported
from dsql.functions import json_constructors as constructors
from dsql.functions.function import Aggregate, Function
from dsql.sql import coercion
from dsql.sql.binding import type_name
from dsql.sql.bound import Call, Expression
from dsql.sql.expressions import bind_expression
from dsql.sql.scope import Scope
from dsql.sql.tree import position_of
from dsql.sql.type_names import resolve_type
from dsql.types import oids, registry

_JSON = (oids.JSON, oids.JSONB)


def constructed(tree: exp.Anonymous, types: tuple[int, ...]) -> Function | Aggregate:
    """Return the function or aggregate of a constructor whose arguments have these types."""
    clauses = tree.args["constructor"]
    returning, absent, unique = clauses["returning"], clauses["absent"], clauses["unique"]
    wanted = resolve_type(returning)[0] if returning is not None else 0
    jsonb = wanted == oids.JSONB or (not wanted and oids.JSONB in types)
    match tree.this:
        case "json_object":
            return constructors.json_object(types, jsonb=jsonb, absent=absent, unique=unique)
        case "json_array":
            return constructors.json_array(types, jsonb=jsonb, absent=absent)
        case "json_arrayagg":
            return constructors.json_arrayagg(types, jsonb=jsonb, absent=absent)
    return constructors.json_objectagg(types, jsonb=jsonb, absent=absent, unique=unique)


def returned(scope: Scope, tree: exp.Anonymous, made: Expression) -> Expression:
    """Return what a constructor made as the type behind RETURNING."""
    returning = tree.args["constructor"]["returning"]
    if returning is None:
        return made
    type_oid, typmod = resolve_type(returning)
    position = position_of(tree)
    if type_oid not in _JSON and registry.get(type_oid).category != "S":
        raise unsupported(f"RETURNING {type_name(type_oid)} is not supported", position=position)
    return coercion.cast_to(scope.binding, made, type_oid, typmod, position=position)


def bind_is_json(scope: Scope, tree: exp.Is) -> Expression:
    """Bind x IS JSON [OBJECT | ARRAY | SCALAR] [WITH UNIQUE KEYS]. Raises SqlError 42804."""
    words = tree.args["expression"].this.split()
    argument = coercion.known(scope.binding, bind_expression(scope, tree.this))
    position = position_of(tree)
    if argument.type_oid not in _JSON and registry.get(argument.type_oid).category != "S":
        message = f"cannot use type {type_name(argument.type_oid)} in IS JSON predicate"
        raise SqlError("42804", message, position=argument.position)
    kind = words[1].lower() if len(words) > 1 and words[1] != "WITH" else ""
    function = constructors.is_json(argument.type_oid, kind, unique="UNIQUE" in words)
    return Call(type_oid=oids.BOOL, position=position, function=function, arguments=[argument])
