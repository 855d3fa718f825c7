"""ALTER ROLE ... SET: parameters that every session of a role begins with.

They are values of the role's row, checked when they are set as SET would, and again when a session begins:
one that is refused by then is left out. What the client asks for at its start comes on top.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from dsql.access.authority import Authority
from dsql.access.privileges import Kind, must_own
from dsql.catalog.schema import ADMIN_OID, Database, Role
from dsql.catalog.store import CatalogWriter
from dsql.ddl.nodes import enum_name
from dsql.ddl.result import UtilityResult
from dsql.ddl.role_specs import role_of
from dsql.errors import SqlError, unsupported
from dsql.session.identity import settable_role
from dsql.session.parameters import DEFINITIONS, parameter_key
from dsql.session.settings import Settings
from dsql.session.state import SessionState
from dsql.session.variables import value_of
from dsql.sql.gate import ParsedStatement
from dsql.sql.refusals import DSQL, setting_error, setting_refused


def run_alter_role_set(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run an AlterRoleSetStmt."""
    state.block.note_ddl("ALTER ROLE")
    statement = parsed.node
    role = _alterable_role(statement, state)
    result = UtilityResult("ALTER ROLE")
    changed = _changed(role.settings, statement.setstmt, state, result)
    try:
        CatalogWriter(state.context.transaction).put_role(replace(role, settings=changed))
    finally:
        state.block.forget_catalog()
    return result


def _alterable_role(statement: Any, state: SessionState) -> Role:
    """Return the role. Raises SqlError 42501 unless it is the user's own, or one it may alter."""
    context = state.context
    database = context.catalog.database
    if not statement.HasField("role"):
        _check_database(statement, database)
        if not statement.database:
            detail = "Only roles with the SUPERUSER attribute may alter settings globally."
            raise SqlError("42501", "permission denied to alter setting", detail=detail)
        if not context.authority.owns(database.owner_oid):
            raise must_own(Kind.DATABASE, database.name)
        raise unsupported("settings of the whole database are not supported")
    role, user = role_of(statement.role, context), context.user
    administered = user.createrole and Authority(context.catalog, user.oid).administers(role.oid)
    fixed = role.oid == ADMIN_OID and state.settings.profile == DSQL  # nobody alters it there
    if fixed or not (role.oid == user.oid or administered):
        raise SqlError(
            "42501",
            "permission denied to alter role",
            detail="Only roles with the CREATEROLE attribute and the ADMIN option on role "
            f'"{role.name}" may alter this role.',
        )
    _check_database(statement, database)
    return role


def _check_database(statement: Any, database: Database) -> None:
    if statement.database and statement.database != database.name:
        raise SqlError("3D000", f'database "{statement.database}" does not exist')


def _changed(
    before: tuple[tuple[str, str], ...], node: Any, state: SessionState, result: UtilityResult
) -> tuple[tuple[str, str], ...]:
    """Return the settings (name, value) after a SET or RESET. Raises what SET raises."""
    settings = state.settings
    action = enum_name(node, "kind")
    if action == "VAR_RESET_ALL":
        return ()
    key = parameter_key(node.name)
    if action == "VAR_SET_MULTI" or key == "session_authorization":
        raise unsupported(f"ALTER ROLE ... SET {node.name} is not supported")
    definition = DEFINITIONS.get(key)
    name = definition.name if definition else node.name
    text = value_of(node, settings)
    if settings.profile == DSQL and setting_refused(key, reset=text is None):
        raise setting_error(node.name)
    if key == "role" and text is not None:
        _foretell(text, state, result)
    else:
        settings.check(name, text)
        if (
            definition is None
        ):  # which PostgreSQL leaves to superusers, who could load what reads it
            raise SqlError("42501", f'permission denied to set parameter "{name}"')
    rest = tuple(pair for pair in before if parameter_key(pair[0]) != key)
    return rest if text is None else (*rest, (name, text))


def _foretell(name: str, state: SessionState, result: UtilityResult) -> None:
    """Say what will keep a role from being set. It is kept all the same: a session decides at its start."""
    try:
        settable_role(lambda: state.context.catalog, state.settings.session_role, name)
    except SqlError as error:
        if error.sqlstate == "42501":
            result.notice("42501", f'permission will be denied to set role "{name}"')
        else:
            result.notice("42704", error.message)


def begin_with(settings: Settings, role: Role) -> None:
    """Give a session what its role begins with."""
    for name, value in role.settings:
        try:
            settings.set_default(name, value)
        except SqlError:  # no parameter any more, or not in this profile
            continue
