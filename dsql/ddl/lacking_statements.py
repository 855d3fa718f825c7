"""Statements that this server cannot run whatever they name: PostgreSQL misses what they name first.

The checks of a statement come in PostgreSQL's order: the schema of what is to be made, whether the user
may make something there, then types, roles, relations and columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.access.authorize import check
from dsql.access.privileges import Kind, must_own
from dsql.access.requirements import creation_in, schema_creation
from dsql.ddl import lacking_rights as rights
from dsql.ddl import nodes
from dsql.ddl.lacking_names import (
    OF_TABLES,
    check_access_method,
    check_language,
    missing,
    missing_of_table,
    type_of,
)
from dsql.ddl.naming import (
    creation_schema,
    is_taken,
    relation_creation,
    require_schema,
)
from dsql.ddl.result import UtilityContext
from dsql.ddl.role_specs import role_of
from dsql.errors import SqlError, unsupported
from dsql.sql.gate import ParsedStatement
from dsql.sql.libpg_query import grammar as pg
from dsql.sql.type_names import type_oid_and_typmod
from dsql.types import registry

Check = Callable[[Any, UtilityContext], None]


def check_names(parsed: ParsedStatement, context: UtilityContext) -> None:
    """Raise PostgreSQL's error for what a statement names that does not exist."""
    checked = _CHECKS.get(parsed.name)
    if checked is not None:
        checked(parsed.node, context)


def check_place(relation: Any, context: UtilityContext, *, if_not_exists: bool = False) -> None:
    """Check where a relation is to be made. Raises SqlError 3F000, 42501, 42P07."""
    check(relation_creation(context, relation), context.authority)
    if is_taken(context, relation) and not if_not_exists:
        raise SqlError("42P07", f'relation "{relation.relname}" already exists')


def _may_create(schema: str, context: UtilityContext) -> str:
    """Return the name of the schema that something is to be made in. Raises SqlError 3F000, 42501."""
    found = creation_schema(context, schema)
    check(creation_in(found), context.authority)
    return found.name


def _place(field: str) -> Check:
    """Check the schema of an object that a statement makes under a qualified name."""

    def checked(node: Any, context: UtilityContext) -> None:
        names = nodes.strings(getattr(node, field))
        _may_create(names[-2] if len(names) > 1 else "", context)

    return checked


def _relation(field: str) -> Check:
    """Check the relations of a RangeVar, or of a list of some."""

    def checked(node: Any, context: UtilityContext) -> None:
        value = getattr(node, field)
        for item in [value] if hasattr(value, "relname") else value:
            relation = item if hasattr(item, "relname") else item.range_var
            if relation.relname:
                rights.found_relation(relation, context)

    return checked


def _family(node: Any, context: UtilityContext) -> None:
    names = [pg.Node(string=pg.String(sval=node.amname)), *node.opfamilyname]
    error = missing("OBJECT_OPFAMILY", pg.Node(list=pg.List(items=names)), context)
    if error is not None:
        raise error


def _published(node: Any, context: UtilityContext) -> None:
    """Check who makes a publication, and its tables and schemas."""
    check(schema_creation(context.catalog.database), context.authority)
    if node.for_all_tables:
        raise SqlError("42501", "must be superuser to create FOR ALL TABLES publication")
    for wrapped in node.pubobjects:
        published = nodes.inner(wrapped)
        if published.HasField("pubtable"):
            rights.owned_relation(published.pubtable.relation, context)
        elif published.name:
            require_schema(context, published.name)
            message = "must be superuser to create FOR TABLES IN SCHEMA publication"
            raise SqlError("42501", message)


def _absent(word: str, name: Callable[[Any], str], sqlstate: str = "42704") -> Check:
    """Miss an object of which there is none, whatever its name is."""

    def checked(node: Any, context: UtilityContext) -> None:
        del context
        if not getattr(node, "missing_ok", False):
            raise SqlError(sqlstate, f'{word} "{name(node)}" does not exist')

    return checked


def _object(kind: str, field: str) -> Check:
    """Miss an object of a kind by the node that names it."""

    def checked(node: Any, context: UtilityContext) -> None:
        error = missing(kind, pg.Node(object_with_args=getattr(node, field)), context)
        if error is not None:
            raise error

    return checked


def _function(node: Any, context: UtilityContext) -> None:
    _place("funcname")(node, context)
    for option in node.options:
        if option.def_elem.defname == "language":
            check_language(option.def_elem.arg.string.sval)
    for wrapped in node.parameters:
        _argument(nodes.inner(wrapped))
    if node.HasField("return_type"):
        type_of(node.return_type)


def _argument(parameter: Any) -> None:
    """Check the type of a function's parameter, whose name PostgreSQL does not quote."""
    try:
        type_of(parameter.arg_type)
    except SqlError as error:
        error.message = error.message.replace('"', "")
        raise


def _domain(node: Any, context: UtilityContext) -> None:
    _place("domainname")(node, context)
    type_of(node.type_name)


def _of_method(field: str, made: str) -> Check:
    """Check what only superusers may make for an access method: nobody."""

    def checked(node: Any, context: UtilityContext) -> None:
        _place(field)(node, context)
        check_access_method(node.amname)
        raise SqlError("42501", f"must be superuser to create {made}")

    return checked


def _defined(node: Any, context: UtilityContext) -> None:
    """Check where an aggregate, operator, collation, ... is to be made, and what superusers make."""
    word = _FOR_SUPERUSERS.get(nodes.enum_name(node, "kind"))
    if word is not None:
        raise SqlError("42501", f"must be superuser to create {word}")
    _place("defnames")(node, context)


_FOR_SUPERUSERS = {
    "OBJECT_TSPARSER": "text search parsers",
    "OBJECT_TSTEMPLATE": "text search templates",
}


def _conversion(node: Any, context: UtilityContext) -> None:
    _place("conversion_name")(node, context)
    arguments = "integer, integer, cstring, internal, integer, boolean"
    message = f"function {'.'.join(nodes.strings(node.func_name))}({arguments}) does not exist"
    raise SqlError("42883", message)


def _foreign_table(node: Any, context: UtilityContext) -> None:
    _may_create(node.base_stmt.relation.schemaname, context)
    raise SqlError("42704", f'server "{node.servername}" does not exist')


def _depending(node: Any, context: UtilityContext) -> None:
    kind = nodes.enum_name(node, "object_type")
    if node.HasField("relation") and kind not in OF_TABLES:
        rights.found_relation(node.relation, context)
    elif kind in OF_TABLES:
        names = [name for name in (node.relation.schemaname, node.relation.relname) if name]
        trigger = nodes.strings(node.object.list.items)
        raise missing_of_table(kind, [*names, *trigger], context)
    elif (error := missing(kind, node.object, context)) is not None:
        raise error
    rights.depending(node, context)


def _extension(node: Any, context: UtilityContext) -> None:
    del context
    hint = "The extension must first be installed on the system where PostgreSQL is running."
    raise SqlError("0A000", f'extension "{node.extname}" is not available', hint=hint)


def _unlabelled(node: Any, context: UtilityContext) -> None:
    del node, context
    raise SqlError("22023", "no security label providers have been loaded")


def _trigger(node: Any, context: UtilityContext) -> None:
    rights.triggered(node, context)
    _trigger_function(node, context)


def _trigger_function(node: Any, context: UtilityContext) -> None:
    names = nodes.strings(node.funcname)
    if len(names) > 1:
        require_schema(context, names[-2])
    raise SqlError("42883", f"function {'.'.join(names)}() does not exist")


def _policy(node: Any, context: UtilityContext) -> None:
    for wrapped in node.roles:
        spec = nodes.inner(wrapped)
        if nodes.enum_name(spec, "roletype") != "ROLESPEC_PUBLIC":
            role_of(spec, context)
    rights.owned_relation(node.table, context)


def _policy_of(node: Any, context: UtilityContext) -> None:
    _policy(node, context)
    message = f'policy "{node.policy_name}" for table "{node.table.relname}" does not exist'
    raise SqlError("42704", message)


def _mapping(node: Any, context: UtilityContext) -> None:
    if node.user.rolename:
        role_of(node.user, context)
    raise SqlError("42704", f'server "{node.servername}" does not exist')


def _do(node: Any, context: UtilityContext) -> None:
    """Refuse a block as PostgreSQL does in a language that runs none."""
    del context
    named = [each.def_elem for each in node.args if each.def_elem.defname == "language"]
    language = named[0].arg.string.sval if named else "plpgsql"
    check_language(language)
    raise unsupported(f'language "{language}" does not support inline code execution')


def _last(field: str) -> Callable[[Any], str]:
    return lambda node: nodes.strings(getattr(node, field))[-1]


def _altered_type(word: str) -> Check:
    """Miss a type that would be altered; the built-in ones are of other kinds."""

    def checked(node: Any, context: UtilityContext) -> None:
        error = missing("OBJECT_TYPE", pg.Node(list=pg.List(items=node.type_name)), context)
        if error is not None:
            raise error
        oid, _ = type_oid_and_typmod(nodes.strings(node.type_name), [])
        name = registry.get(oid).sql_name
        if word == "a base type":
            raise must_own(Kind.TYPE, name)
        raise SqlError("42809", f"{name} is not {word}")

    return checked


check_altered_enum = _altered_type("an enum")


def _named(kind: str, field: str) -> Check:
    """Miss an object of a kind by the parts of its name."""

    def checked(node: Any, context: UtilityContext) -> None:
        error = missing(kind, pg.Node(list=pg.List(items=getattr(node, field))), context)
        assert error is not None, "there is none"
        raise error

    return checked


_CHECKS: dict[str, Check] = {
    "AlterCollation": _named("OBJECT_COLLATION", "collname"),
    "AlterDatabase": rights.database,
    "AlterDatabaseRefreshColl": rights.database,
    "AlterDatabaseSet": rights.database,
    "AlterDomain": _altered_type("a domain"),
    "AlterEventTrig": _absent("event trigger", lambda node: node.trigname),
    "AlterExtension": _absent("extension", lambda node: node.extname),
    "AlterExtensionContents": _absent("extension", lambda node: node.extname),
    "AlterFdw": rights.of_superusers("alter", "a", "foreign-data wrapper", "fdwname"),
    "AlterForeignServer": _absent("server", lambda node: node.servername),
    "AlterFunction": _object("OBJECT_FUNCTION", "func"),
    "AlterObjectDepends": _depending,
    "AlterOpFamily": _family,
    "AlterOperator": _object("OBJECT_OPERATOR", "opername"),
    "AlterPolicy": _policy_of,
    "AlterPublication": _absent("publication", lambda node: node.pubname),
    "AlterSubscription": _absent("subscription", lambda node: node.subname),
    "AlterSystem": rights.system_setting,
    "AlterTSConfiguration": _named("OBJECT_TSCONFIGURATION", "cfgname"),
    "AlterTSDictionary": _named("OBJECT_TSDICTIONARY", "dictname"),
    "AlterTableSpaceOptions": rights.tablespace,
    "AlterType": _altered_type("a base type"),
    "AlterUserMapping": _mapping,
    "CheckPoint": rights.denied("permission denied to execute CHECKPOINT command"),
    "CreateAm": rights.of_superusers("create", "an", "access method", "amname"),
    "CreateCast": rights.cast,
    "CreateConversion": _conversion,
    "CreateDomain": _domain,
    "CreateEventTrig": rights.of_superusers("create", "an", "event trigger", "trigname"),
    "CreateExtension": _extension,
    "CreateFdw": rights.of_superusers("create", "a", "foreign-data wrapper", "fdwname"),
    "CreateForeignServer": _absent("foreign-data wrapper", lambda node: node.fdwname),
    "CreateForeignTable": _foreign_table,
    "CreateFunction": _function,
    "CreateOpClass": _of_method("opclassname", "an operator class"),
    "CreateOpFamily": _of_method("opfamilyname", "an operator family"),
    "CreatePolicy": _policy,
    "CreatePublication": _published,
    "CreateSubscription": rights.denied("permission denied to create subscription"),
    "CreateTableSpace": rights.of_superusers("create", "a", "tablespace", "tablespacename"),
    "CreateTransform": rights.transform,
    "CreateTrig": _trigger,
    "CreateUserMapping": _mapping,
    "Createdb": rights.new_database,
    "Define": _defined,
    "Do": _do,
    "DropSubscription": _absent("subscription", lambda node: node.subname),
    "DropTableSpace": rights.tablespace,
    "DropUserMapping": _absent("server", lambda node: node.servername),
    "Dropdb": rights.database,
    "ImportForeignSchema": _absent("server", lambda node: node.server_name),
    "Load": rights.library,
    "Rule": rights.ruled,
    "SecLabel": _unlabelled,
}
