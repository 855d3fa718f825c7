"""The parameters of CREATE FUNCTION: names, modes, types and defaults."""

from __future__ import annotations

from typing import Any

from dsql.catalog.schema import SqlParameter, Table, Use
from dsql.ddl import nodes
from dsql.ddl.function_names import domain_of_function, type_of_function
from dsql.ddl.result import UtilityContext
from dsql.errors import SqlError
from dsql.functions.polymorphism import POLYMORPHIC
from dsql.sql.binder import bind_parameter_default
from dsql.sql.bound import Constant
from dsql.sql.expression_text import expression_text
from dsql.sql.gate import ParsedStatement
from dsql.sql.stored_uses import expression_uses
from dsql.types import oids, registry

_MODES = {
    "FUNC_PARAM_IN": "i",
    "FUNC_PARAM_OUT": "o",
    "FUNC_PARAM_INOUT": "b",
    "FUNC_PARAM_VARIADIC": "v",
    "FUNC_PARAM_TABLE": "t",
    "FUNC_PARAM_DEFAULT": "i",
}
_ARRAYS = (oids.ANYARRAY, oids.ANYCOMPATIBLEARRAY, oids.ANY)


def read_parameters(parsed: ParsedStatement, context: UtilityContext) -> tuple[SqlParameter, ...]:
    """Return the parameters of a CreateFunctionStmt. Raises SqlError 42P13, 42704 and others."""
    found: list[SqlParameter] = []
    for wrapped in parsed.node.parameters:
        node = wrapped.function_parameter
        parameter = _parameter(parsed, node, context)
        _check_place(parameter, found)
        found.append(parameter)
    return tuple(found)


def _parameter(parsed: ParsedStatement, node: Any, context: UtilityContext) -> SqlParameter:
    mode = _MODES[nodes.enum_name(node, "mode")]
    if node.arg_type.setof:
        raise SqlError("42P13", "functions cannot accept set arguments")
    type_oid = _type(node.arg_type, context)
    if mode == "v" and type_oid not in _ARRAYS and not registry.get(type_oid).element_oid:
        raise SqlError("42P13", "VARIADIC parameter must be an array")
    default: str | None = None
    uses: tuple[Use, ...] = ()
    if node.HasField("defexpr"):
        if mode not in "ibv":
            raise SqlError("42P13", "only input parameters can have default values")
        default, uses = _default(parsed, node.defexpr, type_oid, context)
    domain = domain_of_function(node.arg_type, context)
    return SqlParameter(node.name, type_oid, mode, default, uses, domain)


def _type(type_name: Any, context: UtilityContext) -> int:
    """Look a parameter's type up; PostgreSQL does not quote its name."""
    try:
        return type_of_function(type_name, context)
    except SqlError as error:
        if error.sqlstate == "42704":
            error.message = error.message.replace('"', "")
        raise


def _default(
    parsed: ParsedStatement, node: Any, type_oid: int, context: UtilityContext
) -> tuple[str, tuple[Use, ...]]:
    """Return the text of a default, and what it names."""
    wanted = 0 if type_oid in POLYMORPHIC else type_oid
    bound = bind_parameter_default(
        parsed, node, wanted, context.catalog, context.search_path, context.settings
    )
    if not wanted and isinstance(bound, Constant) and bound.value is None:
        return "NULL", ()  # of whatever type the call has
    return expression_text(bound), expression_uses(bound, _NO_TABLE)


_NO_TABLE = Table(oid=0, schema="", name="", owner_oid=0, columns=())


def _check_place(parameter: SqlParameter, before: list[SqlParameter]) -> None:
    """Raise SqlError 42P13 for what cannot follow the parameters before it."""
    inputs = [one for one in before if one.is_input]
    if parameter.is_input and inputs and inputs[-1].mode == "v":
        raise SqlError("42P13", "VARIADIC parameter must be the last input parameter")
    after_default = any(one.default is not None for one in inputs)
    if parameter.is_input and parameter.default is None and after_default:
        message = "input parameters after one with a default value must also have defaults"
        raise SqlError("42P13", message)
    if not parameter.name:
        return
    for one in before:
        apart = {one.is_input, parameter.is_input} == {True, False}
        if one.name == parameter.name and not (apart and "b" not in (one.mode, parameter.mode)):
            message = f'parameter name "{parameter.name}" used more than once'
            raise SqlError("42P13", message)


def result_of_outputs(parameters: tuple[SqlParameter, ...]) -> int:
    """Return the type OID of the result that OUT parameters make, 0 without any."""
    outputs = [one.type_oid for one in parameters if one.is_output]
    if len(outputs) > 1:
        return oids.RECORD
    return outputs[0] if outputs else 0
