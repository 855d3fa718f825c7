"""SET, RESET and SHOW."""

from __future__ import annotations

from typing import Any

from dsql.ddl.nodes import enum_name, inner, kind
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError
from dsql.executor.program import OutputColumn
from dsql.session.exported_snapshots import import_snapshot
from dsql.session.isolation import PARAMETERS, modes_of
from dsql.session.parameters import DEFINITIONS, parameter_key
from dsql.session.settings import Settings
from dsql.session.state import SessionState
from dsql.sql.refusals import DSQL, setting_error
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
    if node.is_local and not state.block.is_block:
        message = "SET LOCAL can only be used in transaction blocks"
        result.notice("25P01", message, severity="WARNING")
    with result.told():
        settings.set(node.name, value_of(node, settings), local=node.is_local)
    return result


def value_of(node: Any, settings: Settings) -> str | None:
    """Return the value that a VariableSetStmt gives, None for the default.

    Its arguments become one text, as PostgreSQL flattens them.
    """
    if enum_name(node, "kind") == "VAR_SET_CURRENT":
        return settings.show(node.name)
    if not node.args:
        return None
    quote = parameter_key(node.name) in _QUOTED_LISTS
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


def _set_multi(node: Any, state: SessionState) -> UtilityResult:
    """SET TRANSACTION and SET SESSION CHARACTERISTICS."""
    if state.settings.profile == DSQL:
        raise setting_error(node.name)
    if node.name == "TRANSACTION SNAPSHOT":
        return _set_snapshot(node, state)
    modes, result = modes_of(node.args), UtilityResult("SET")
    if node.name == "SESSION CHARACTERISTICS":
        for parameter, value in zip(PARAMETERS, modes, strict=True):
            if value is not None:
                text = modes.shown(parameter)
                state.settings.set(f"default_{parameter}", text, local=False)
        return result
    if not state.block.is_block:
        message = "SET TRANSACTION can only be used in transaction blocks"
        result.notice("25P01", message, severity="WARNING")
    else:
        state.block.set_modes(modes)
    return result


def _set_snapshot(node: Any, state: SessionState) -> UtilityResult:
    result = UtilityResult("SET")
    if not state.block.is_block:
        message = "SET TRANSACTION can only be used in transaction blocks"
        result.notice("25P01", message, severity="WARNING")
    with result.told():
        import_snapshot(state, str(node.args[0].a_const.sval.sval))
    return result


def show_columns(name: str) -> tuple[OutputColumn, ...]:
    """Return the columns of SHOW."""
    if name == "all":
        return tuple(
            OutputColumn(column, oids.TEXT) for column in ("name", "setting", "description")
        )
    definition = DEFINITIONS.get(parameter_key(name))
    return (OutputColumn(definition.name if definition else name, oids.TEXT),)


def run_show(node: Any, state: SessionState) -> UtilityResult:
    """Run SHOW or SHOW ALL."""
    result = UtilityResult("SHOW", show_columns(node.name))
    if node.name == "all":
        result.rows = list(state.settings.all())
    else:
        result.rows = [(state.settings.show(node.name),)]
    return result
