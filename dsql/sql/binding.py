"""What one statement's query levels share while it is bound: catalog, settings, parameter types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from dsql.access.authority import Authority
from dsql.access.requirements import CallUse, Requirement
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import SqlFunction, Table
from dsql.catalog.virtual import VirtualTable
from dsql.errors import SqlError
from dsql.sql.bound import Expression, Parameter
from dsql.sql.bound_query import Cte
from dsql.sql.depth import stack_depth_error
from dsql.sql.uses import Use
from dsql.sql.walk import nodes
from dsql.types import oids, registry
from dsql.types.type import FormatSettings

REPEATED_NODES_MAX = 100_000  # some 2 s of planning and compiling
_SMALL_NODES = 4
PARAMETERS_MAX = 65_535  # the Bind message counts them in 16 bits


@dataclass(frozen=True, slots=True)
class Arguments:
    """By which names the statements of a function's body know its arguments; "" for one without."""

    function: str
    names: tuple[str, ...]


@dataclass(slots=True)
class Binding:
    """The state of one statement's binding.

    `parameter_types` has the OIDs the client declared, 0 where it left one open; binding fills them in,
    for up to `parameters_max` parameters. `tables` collects the OIDs of the stored tables the statement
    depends on, `uses` what it does with them. `authority` has the rights that looking a name up takes;
    None: nobody is asked. `as_role` is who needs those of the uses, 0: the user. `inside`: the WITH queries
    that are being bound. `calls`: what the user needs for the functions that it calls.

    Of a function's body: `arguments`, the names of the parameters; `given`, what stands for them where
    the body is written into a query, `given_levels` queries further in; `inlining`, the functions for which
    that is being done.
    """

    catalog: Catalog
    search_path: Sequence[str]
    settings: FormatSettings
    parameter_types: list[int]
    authority: Authority | None = None
    as_role: int = 0
    profile: str = "dsql"
    parameters_max: int = 0
    tables: set[int] = field(default_factory=set)
    uses: list[Use] = field(default_factory=list)
    inside: tuple[Cte, ...] = ()
    views: tuple[int, ...] = ()  # the views being expanded, outermost first
    folding: bool = True
    repeated: int = 0  # nodes
    undetermined: list[Parameter] = field(default_factory=list)
    calls: list[Requirement] = field(default_factory=list)
    arguments: Arguments | None = None
    given: Sequence[Expression] | None = None
    given_levels: int = 0
    inlining: tuple[int, ...] = ()

    def for_stored_text(
        self, *, views: tuple[int, ...] = (), folding: bool = True, as_role: int = 0
    ) -> Binding:
        """Return the state for a text of the catalog: own parameters and rights, the same tables."""
        return Binding(
            self.catalog,
            self.search_path,
            self.settings,
            [],
            as_role=as_role,
            profile="postgres",
            tables=self.tables,
            uses=self.uses,
            inside=self.inside,
            views=views,
            folding=folding,
            calls=self.calls,
            inlining=self.inlining,
        )

    def use(self, relation: Table | VirtualTable, privileges: int, depth: int) -> Use:
        """Note that the statement does something with a relation, and return the note."""
        view = self.views[-1] if self.views else 0
        depth += len(self.views)
        use = Use(relation, int(privileges), depth, self.as_role, self.inside, view)
        self.uses.append(use)
        return use

    def may_call(self, function: SqlFunction) -> bool:
        """Tell whether the user may call a function. What it may not stays a call, which may go away."""
        return self.authority is None or CallUse(function).is_met(self.authority)

    @contextmanager
    def within(self, cte: Cte) -> Iterator[None]:
        """While a WITH query is bound, what it uses is its own."""
        self.inside = (*self.inside, cte)
        try:
            yield
        finally:
            self.inside = self.inside[:-1]

    def argument(self, function: str, name: str) -> int | None:
        """Return the number of a function's argument of a name, None for none.

        `function`: what stands before the name, "" for nothing.
        """
        known = self.arguments
        if known is None or not name or function not in ("", known.function):
            return None
        return known.names.index(name) + 1 if name in known.names else None

    def parameter(self, number: int, position: int) -> Parameter:
        """Return a reference to $number, of type unknown until a context decides."""
        if not 1 <= number <= self.parameters_max:
            raise SqlError("42P02", f"there is no parameter ${number}", position=position)
        types = self.parameter_types
        while len(types) < number:
            types.append(0)
        type_oid = types[number - 1] or oids.UNKNOWN
        parameter = Parameter(type_oid=type_oid, position=position, index=number - 1)
        if type_oid == oids.UNKNOWN:
            self.undetermined.append(parameter)
        else:
            registry.get(type_oid)  # a client may declare what does not exist
        return parameter

    def current(self, expression: Expression) -> Expression:
        """Return an expression, a parameter with the type that was decided since it was bound."""
        if isinstance(expression, Parameter) and expression.type_oid == oids.UNKNOWN:
            return self.parameter(expression.index + 1, expression.position)
        return expression

    def repeat(self, operands: Sequence[Expression], times: int) -> None:
        """Note that operands are compared so many times, each time a copy of theirs.

        Raises SqlError 54001 where they would double and double: BETWEEN in BETWEEN, CASE in CASE.
        """
        if times < 2:
            return
        size = sum(1 for operand in operands for _ in nodes(operand))
        if size > _SMALL_NODES * len(operands):
            self.repeated += size * (times - 1)
            if self.repeated > REPEATED_NODES_MAX:
                raise stack_depth_error()

    def determine(self, parameter: Parameter, type_oid: int) -> Parameter:
        """Return an unknown parameter as one of the type that its context wants.

        Raises SqlError 42P08 if an earlier context wanted another one.
        """
        known = self.parameter_types[parameter.index]
        if known not in (0, oids.UNKNOWN, type_oid):
            raise SqlError(
                "42P08",
                f"inconsistent types deduced for parameter ${parameter.index + 1}",
                detail=f"{type_name(known)} versus {type_name(type_oid)}",
                position=parameter.position,
            )
        self.parameter_types[parameter.index] = type_oid
        return Parameter(type_oid=type_oid, position=parameter.position, index=parameter.index)

    def check_parameters(self) -> None:
        """Raise SqlError 42P18 for the first parameter whose type no context decided."""
        for index, type_oid in enumerate(self.parameter_types):
            if type_oid in (0, oids.UNKNOWN):
                position = next((p.position for p in self.undetermined if p.index == index), 0)
                raise SqlError(
                    "42P18",
                    f"could not determine data type of parameter ${index + 1}",
                    position=position,
                )


def type_name(oid: int) -> str:
    """Return a type's name as error messages spell it."""
    try:
        return registry.get(oid).sql_name
    except SqlError:
        return _PSEUDO_NAMES.get(oid, str(oid))


_PSEUDO_NAMES: dict[int, str] = {
    oids.UNKNOWN: "unknown",
    oids.RECORD: "record",
    oids.ANYELEMENT: "anyelement",
    oids.ANYARRAY: "anyarray",
    oids.VOID: "void",
}
