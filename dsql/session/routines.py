"""Runs the bodies of functions in LANGUAGE SQL for the statements of a session that call them.

A body runs in the statement's transaction, on its account and under its interrupts. A volatile function's
statements see what the transaction has written so far, those of others what the calling statement sees.
A SECURITY DEFINER function has its owner's role while it runs, one with SET clauses its own settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from typing import TYPE_CHECKING, Any

from dsql.errors import SqlError, unsupported
from dsql.executor.program import OutputColumn
from dsql.executor.spill import Rows
from dsql.limits import FUNCTION_DEPTH_MAX
from dsql.session.compiled import CompiledQuery
from dsql.session.pipeline import compile_body
from dsql.sql.depth import stack_depth_error
from dsql.sql.sql_functions import SqlCall

if TYPE_CHECKING:
    from dsql.catalog.schema import SqlFunction
    from dsql.session.block import TransactionBlock
    from dsql.session.context import SessionContext
    from dsql.session.plan_cache import PlanCache
    from dsql.session.settings import Settings

Row = tuple[Any, ...]


class Routines:
    """Runs calls one inside another, for one session. Compiled bodies are kept with the plans.

    `after_statement` is called behind each statement of a body.
    """

    def __init__(
        self,
        context: SessionContext,
        settings: Settings,
        block: TransactionBlock,
        plans: PlanCache,
        after_statement: Callable[[CompiledQuery], None],
    ) -> None:
        self._context = context
        self._after_statement = after_statement
        self._settings = settings
        self._block = block
        self._plans = plans
        self._depth = 0

    def take_apart(self) -> None:
        """Let go of the context, which knows these: the session is over."""
        vars(self).clear()

    def run(self, call: SqlCall, arguments: Sequence[Any]) -> Any:
        """Return a call's value, an iterable of them for a set; a row is a tuple.

        Raises what the body raises, with the statement in the CONTEXT, and SqlError 54001 for calls nested
        too deep.
        """
        if self._depth >= FUNCTION_DEPTH_MAX:
            raise stack_depth_error()
        self._depth += 1
        try:
            with self._surroundings(call.function):
                return self._run(call, arguments)
        finally:
            self._depth -= 1

    def _surroundings(self, function: SqlFunction) -> AbstractContextManager[None]:
        if not function.security_definer and not function.settings:
            return nullcontext()
        role = function.owner_oid if function.security_definer else 0
        return self._settings.within(role, function.settings)

    def _run(self, call: SqlCall, arguments: Sequence[Any]) -> Any:
        function = call.function
        try:
            standpoint = self._context.standpoint
            body = compile_body(call, standpoint, self._settings, self._plans)
        except SqlError as error:
            raise _told(error, function, "during startup") from None
        rows: Iterable[Row] = ()
        columns: tuple[OutputColumn, ...] = ()
        for number, query in enumerate(body, 1):
            try:
                rows = self._rows(function, query, arguments, last=number == len(body))
            except SqlError as error:
                raise _told(error, function, f"statement {number}") from None
            columns = query.program.columns
        return call.result(rows, columns)

    def _rows(
        self, function: SqlFunction, query: CompiledQuery, arguments: Sequence[Any], *, last: bool
    ) -> Iterable[Row]:
        """Run a statement of a body, and return the rows if they are the result's."""
        volatile = function.volatility == "v"
        if query.writes and not volatile:
            word = query.program.tag.removesuffix(" 0")
            raise unsupported(f"{word} is not allowed in a non-volatile function")
        block, noted = self._block, self._block.key_changes
        transaction = block.transaction
        outer = block.use_inside(query, volatile=volatile)
        try:
            found = query.program.rows(self._context, arguments)
            taken = self._taken(function, found, last=last, only_first=not query.writes)
            self._after_statement(query)
            return taken
        finally:
            block.key_changes = noted  # of the statement around it
            if outer:
                transaction.end_inner(outer)

    def _taken(
        self, function: SqlFunction, found: Iterator[Row], *, last: bool, only_first: bool
    ) -> Iterable[Row]:
        """Take a statement's rows: all of a set, the first of a value, which nobody else is needed for."""
        if last and function.returns_set:
            rows = Rows(self._context.memory)
            for row in found:
                rows.add(row)
            return rows
        with closing(found):  # type: ignore[type-var]
            first = next(found, None)
            if not (last and only_first):
                for _ in found:
                    pass
        return () if first is None else (first,)


def _told(error: SqlError, function: SqlFunction, place: str) -> SqlError:
    """Return an error of a body with its place in it; a position would be one in another text."""
    error.position = 0
    if not function.name:  # a domain's checks, which tell for themselves
        return error
    line = f'SQL function "{function.name}" {place}'
    error.where = f"{error.where}\n{line}" if error.where else line
    return error
