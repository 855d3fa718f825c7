"""SET, RESET and SHOW."""

from __future__ import annotations

from typing import Any

from dsql.access.authority import Authority
from dsql.ddl.nodes import enum_name, inner, kind
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError
from dsql.executor.program import OutputColumn
from dsql.session.block import State
from dsql.session.parameters import DEFINITIONS
from dsql.session.state import SessionState
from dsql.session.transactions import read_only_mode
from dsql.sql.refusals import setting_error
from dsql.types import oids
from dsql.types.identifier import quote_identifier

_QUOTED_LISTS = ("search_path", "temp_tablespaces", "local_preload_libraries")


def run_set(node: Any, state: SessionState) -> UtilityResult:
    """Run SET, SET LOCAL, SET TRANSACTION, RESET or RESET ALL."""
    _ = state.block.transaction  # a parameter belongs to a transaction, which may be rolled back
    settings = state.settings
    action = enum_name(node, "kind")
    if action == "VAR_RESET_ALL":
        settings.reset_all()
        return UtilityResult("RESET")
    if action == "VAR_SET_MULTI":
        return _set_multi(node, state)
    result = UtilityResult("RESET" if action == "VAR_RESET" else "SET")
    if node.is_local and state.block.state is not State.OPEN:
        message = "SET LOCAL can only be used in transaction blocks"
        result.notice("25P01", message, severity="WARNING")
    name = node.name
    if action == "VAR_SET_CURRENT":
        settings.set(name, settings.show(name), local=node.is_local)
    elif name in ("role", "session_authorization"):
        _set_role(name, _text(node) if node.args else None, node.is_local, state)
    else:
        settings.set(name, _text(node) if node.args else None, local=node.is_local)
    return result


def _text(node: Any) -> str:
    """Return the arguments of SET as one text, as PostgreSQL flattens them."""
    quote = node.name.lower() in _QUOTED_LISTS
    return ", ".join(_argument(argument, quote) for argument in node.args)


def _argument(argument: Any, quote: bool) -> str:
    if kind(argument) == "type_cast":
        return _interval_zone(argument.type_cast)
    constant = argument.a_const
    which = constant.WhichOneof("val")
    if which == "ival":
        return str(constant.ival.ival)
    if which == "fval":
        return str(constant.fval.fval)
    if which == "boolval":
        return "on" if constant.boolval.boolval else "off"
    text = str(constant.sval.sval)
    return quote_identifier(text) if quote else text


def _interval_zone(cast: Any) -> str:
    """SET TIME ZONE INTERVAL '+05:30' HOUR TO MINUTE: the offset, in hours."""
    text = inner(cast.arg).sval.sval
    hours, _, minutes = text.lstrip("+-").partition(":")
    try:
        offset = int(hours) + int(minutes or 0) / 60
    except ValueError:
        raise SqlError("22007", f'invalid input syntax for type interval: "{text}"') from None
    return f"{-offset if text.startswith('-') else offset:g}"


def _set_role(name: str, role: str | None, local: bool, state: SessionState) -> None:
    settings, context = state.settings, state.context
    if name == "session_authorization":
        if role not in (None, settings.session_user):
            raise SqlError("42501", "permission denied to set session authorization")
        return
    if role is not None and role != "none":
        target = context.catalog.roles.get(role)
        if target is None:
            raise SqlError("22023", f'role "{role}" does not exist')
        if not Authority(context.catalog, context.session_user.oid).may_set(target.oid):
            raise SqlError("42501", f'permission denied to set role "{role}"')
    settings.set("role", role, local=local)


def _set_multi(node: Any, state: SessionState) -> UtilityResult:
    """SET TRANSACTION and SET SESSION CHARACTERISTICS."""
    if node.name == "TRANSACTION SNAPSHOT":
        raise setting_error(node.name)
    read_only = read_only_mode(node.args)
    result = UtilityResult("SET")
    if node.name == "SESSION CHARACTERISTICS":
        if read_only is not None:
            text = "on" if read_only else "off"
            state.settings.set("default_transaction_read_only", text, local=False)
        return result
    if state.block.state is not State.OPEN:
        message = "SET TRANSACTION can only be used in transaction blocks"
        result.notice("25P01", message, severity="WARNING")
    elif read_only is not None:
        if state.block.read_only and not read_only:
            message = "transaction read-write mode must be set before any query"
            raise SqlError("25001", message)
        state.block.read_only = read_only
    return result


def show_columns(name: str) -> tuple[OutputColumn, ...]:
    """Return the columns of SHOW."""
    if name == "all":
        return tuple(
            OutputColumn(column, oids.TEXT) for column in ("name", "setting", "description")
        )
    definition = DEFINITIONS.get(name.lower())
    return (OutputColumn(definition.name if definition else name, oids.TEXT),)


def run_show(node: Any, state: SessionState) -> UtilityResult:
    """Run SHOW or SHOW ALL."""
    result = UtilityResult("SHOW", show_columns(node.name))
    if node.name == "all":
        result.rows = list(state.settings.all())
    else:
        result.rows = [(state.settings.show(node.name),)]
    return result
