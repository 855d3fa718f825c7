"""CREATE FUNCTION for LANGUAGE SQL; that a body is sound is asked of the binder."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from dsql.access.default_acls import initial_acl
from dsql.access.privileges import Kind
from dsql.access.requirements import Ownership, Requirement, creation_in
from dsql.catalog.schema import Schema, SqlFunction, SqlParameter
from dsql.catalog.store import CatalogWriter
from dsql.ddl import nodes
from dsql.ddl.function_names import (
    domain_of_function,
    signature,
    type_of_function,
    type_word,
)
from dsql.ddl.function_options import (
    changed_settings,
    check_rows,
    read_options,
    refuse_unsupported,
)
from dsql.ddl.function_parameters import read_parameters, result_of_outputs
from dsql.ddl.lacking_names import check_language
from dsql.ddl.naming import schema_for
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.functions.polymorphism import COMPATIBLE_FAMILY, ELEMENT_FAMILY, POLYMORPHIC
from dsql.sql.function_bodies import (
    BodyStatement,
    bind_body,
    body_uses,
    parse_body,
    written_body,
)
from dsql.sql.function_printing import kept_body
from dsql.sql.gate import ParsedStatement
from dsql.sql.sql_functions import callee_of
from dsql.types import oids, registry

_RESULTS = POLYMORPHIC | {oids.RECORD, oids.VOID}  # pseudo-types that it may return
_ROWS = 1000.0


def create_function_requires(
    parsed: ParsedStatement, context: UtilityContext
) -> Iterator[Requirement]:
    """Yield what a CreateFunctionStmt needs: a place in the schema, and to own what it replaces."""
    statement = parsed.node
    schema = _schema(statement, context)
    yield creation_in(schema)
    before = _existing(_read(parsed, schema, context), context)
    if before is not None and statement.replace:
        yield Ownership(Kind.FUNCTION, before.name, before.owner_oid)


def create_function(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    """Run a CreateFunctionStmt."""
    statement = parsed.node
    schema = _schema(statement, context)
    function = _read(parsed, schema, context)
    before = _existing(function, context)
    writer = CatalogWriter(context.transaction)
    if before is not None:
        function = _replaced(before, function, statement.replace, context)
    else:
        acl = initial_acl(context.catalog, Kind.FUNCTION, context.user.oid, schema.oid)
        function = replace(function, oid=writer.allocate_oid(), acl=acl)
    if context.setting("check_function_bodies") == "on" or function.form != "s":
        statements = _checked_body(function, context)
        if function.form != "s":
            function = replace(function, uses=body_uses(statements, function))
            catalog = context.catalog.with_function(function)
            function = replace(function, body=kept_body(function, catalog, catalog))
    writer.put_function(function)
    return UtilityResult("CREATE FUNCTION")


def _schema(statement: Any, context: UtilityContext) -> Schema:
    names = nodes.strings(statement.funcname)
    return schema_for(context, names)


def _read(parsed: ParsedStatement, schema: Schema, context: UtilityContext) -> SqlFunction:
    """Return the function that a statement describes, without an OID."""
    statement = parsed.node
    if statement.is_procedure:
        raise unsupported("PROCEDURE is not supported")
    options = read_options(statement.options, parsed, context)
    _check_language(statement, options)
    refuse_unsupported(options)
    parameters = read_parameters(parsed, context)
    return_type, returns_set = _result(statement, result_of_outputs(parameters), context)
    if any(parameter.mode == "t" for parameter in parameters):
        returns_set = True
    inputs = [one.type_oid for one in parameters if one.is_input]
    _check_types(return_type, inputs, context)
    for type_oid in (return_type, *(one.type_oid for one in parameters if one.is_output)):
        _check_determined(type_oid, inputs)
    form, body = _body(parsed, options)
    if form != "s" and any(one.type_oid in POLYMORPHIC for one in parameters):
        message = "SQL function with unquoted function body cannot have polymorphic arguments"
        raise SqlError("42P13", message)
    check_rows(rows_given="rows" in options, returns_set=returns_set)
    chosen = {name: options[name] for name in _CHOSEN if name in options}
    return SqlFunction(
        oid=0,
        schema=schema.name,
        name=nodes.strings(statement.funcname)[-1],
        owner_oid=context.user.oid,
        parameters=parameters,
        return_type=return_type,
        body=body,
        form=form,
        path=tuple(context.search_path) if form != "s" else (),
        returns_set=returns_set,
        rows=options.get("rows", _ROWS if returns_set else 0.0),
        settings=changed_settings((), options.get("changes", ())),
        domain=_domain(statement, parameters, context),
        **chosen,
    )


_CHOSEN = ("volatility", "strict", "leakproof", "security_definer", "parallel", "cost")


def _check_language(statement: Any, options: dict[str, Any]) -> None:
    language = options.get("language", "sql" if statement.HasField("sql_body") else None)
    if language is None:
        raise SqlError("42P13", "no language specified")
    if language.lower() != "sql":
        check_language(language)
        raise unsupported(f"CREATE FUNCTION with language {language} not supported")
    if "transform" in options:
        word = _type_word(options["transform"][0])
        raise SqlError("42704", f'transform for type {word} language "sql" does not exist')
    if options.get("window"):
        raise unsupported("WINDOW functions in LANGUAGE SQL are not supported")


def _type_word(name: str) -> str:
    known = registry.find(name)
    return name if known is None else known.sql_name


def _result(statement: Any, of_outputs: int, context: UtilityContext) -> tuple[int, bool]:
    """Return (type OID, whether it is a set) of the result. Raises SqlError 42P13."""
    if not statement.HasField("return_type"):
        if not of_outputs:
            raise SqlError("42P13", "function result type must be specified")
        return of_outputs, False
    node = statement.return_type
    found = type_of_function(node, context)
    if of_outputs and found != of_outputs:
        word = type_word(of_outputs, context)
        message = f"function result type must be {word} because of OUT parameters"
        raise SqlError("42P13", message)
    return found, bool(node.setof)


def _domain(statement: Any, parameters: tuple[SqlParameter, ...], context: UtilityContext) -> int:
    """Return the domain that a plain result is of, 0 for none."""
    outputs = [one for one in parameters if one.is_output]
    if outputs:
        return outputs[0].domain if len(outputs) == 1 else 0
    return domain_of_function(statement.return_type, context)


def _check_types(return_type: int, inputs: list[int], context: UtilityContext) -> None:
    """Refuse pseudo-types that LANGUAGE SQL has no values of, and results that nothing decides."""
    if context.catalog.table_of_row_type(return_type) is None:
        kind = registry.get(return_type)
        if kind.kind == "p" and return_type not in _RESULTS:
            raise SqlError("42P13", f"SQL functions cannot return type {kind.sql_name}")
    for type_oid in inputs:
        kind = registry.get(type_oid)
        if kind.kind == "p" and type_oid not in POLYMORPHIC and type_oid != oids.RECORD:
            raise SqlError("42P13", f"SQL functions cannot have arguments of type {kind.sql_name}")


def _check_determined(type_oid: int, inputs: Collection[int]) -> None:
    """Raise SqlError 42P13 for a polymorphic type of the result that no argument decides."""
    for family, ranges, words in (
        (ELEMENT_FAMILY, (oids.ANYRANGE, oids.ANYMULTIRANGE), "any"),
        (
            COMPATIBLE_FAMILY,
            (oids.ANYCOMPATIBLERANGE, oids.ANYCOMPATIBLEMULTIRANGE),
            "anycompatible",
        ),
    ):
        deciding = ranges if type_oid in ranges else family
        if type_oid in family and not set(deciding) & set(inputs):
            word = registry.get(type_oid).sql_name
            offered = f"{words}range or {words}multirange" if deciding is ranges else _INPUTS[words]
            detail = f"A result of type {word} requires at least one input of type {offered}."
            raise SqlError("42P13", "cannot determine result data type", detail=detail)


_INPUTS = {
    "any": "anyelement, anyarray, anynonarray, anyenum, anyrange, or anymultirange",
    "anycompatible": "anycompatible, anycompatiblearray, anycompatiblenonarray, "
    "anycompatiblerange, or anycompatiblemultirange",
}


def _body(parsed: ParsedStatement, options: dict[str, Any]) -> tuple[str, str]:
    """Return (form, text) of the body. Raises SqlError 42P13."""
    statement = parsed.node
    if statement.HasField("sql_body"):
        if "as" in options:
            raise SqlError("42P13", "duplicate function body specified")
        return written_body(parsed)
    if "as" not in options:
        raise SqlError("42P13", "no function body specified")
    if len(options["as"]) > 1:
        raise SqlError("42P13", 'only one AS item needed for language "sql"')
    return "s", options["as"][0]


def _existing(function: SqlFunction, context: UtilityContext) -> SqlFunction | None:
    return next(
        (
            other
            for other in context.catalog.functions_named(function.name)
            if other.schema == function.schema and other.argument_types == function.argument_types
        ),
        None,
    )


def _replaced(
    before: SqlFunction, after: SqlFunction, replaces: bool, context: UtilityContext
) -> SqlFunction:
    """Return the function that takes another one's place. Raises SqlError 42723, 42P13."""
    if not replaces:
        message = f'function "{after.name}" already exists with same argument types'
        raise SqlError("42723", message)
    shown = signature(after.name, after.argument_types, context).replace(", ", ",")
    hint = f"Use DROP FUNCTION {shown} first."
    same_result = (before.return_type, before.returns_set) == (after.return_type, after.returns_set)
    if not same_result:
        raise SqlError("42P13", "cannot change return type of existing function", hint=hint)
    if [(o.name, o.type_oid) for o in before.outputs] != [
        (o.name, o.type_oid) for o in after.outputs
    ]:
        detail = "Row type defined by OUT parameters is different."
        message = "cannot change return type of existing function"
        raise SqlError("42P13", message, detail=detail, hint=hint)
    for old, new in zip(before.inputs, after.inputs, strict=True):
        if old.name and old.name != new.name:
            message = f'cannot change name of input parameter "{old.name}"'
            raise SqlError("42P13", message, hint=hint)
        if old.default is not None and new.default is None:
            message = "cannot remove parameter defaults from existing function"
            raise SqlError("42P13", message, hint=hint)
    return replace(
        after, oid=before.oid, owner_oid=before.owner_oid, acl=before.acl, comment=before.comment
    )


def _checked_body(function: SqlFunction, context: UtilityContext) -> Sequence[BodyStatement]:
    """Return a body's statements, none if the arguments' types are still open. Raises what is wrong."""
    catalog = context.catalog.with_function(function)  # which may call itself
    try:
        if any(oid in POLYMORPHIC for oid in (*function.argument_types, function.return_type)):
            parse_body(function)
            return ()
        implementation: Any = callee_of(function, catalog).implementation
        return bind_body(
            implementation,
            catalog,
            context.search_path,
            context.settings,
            authority=context.authority,
            profile=context.profile,
        )
    except SqlError as error:
        if function.form == "s":
            error.position = 0
            error.where = error.where or f'SQL function "{function.name}"'
        raise
