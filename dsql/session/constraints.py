"""What foreign keys do when a statement has run, and before a transaction commits.

A statement notes values (`dsql.executor.key_changes`). At its end each of them is followed by statements of
its own, with the rights of the owner of the table that they are about: a child's values look for their
parent and lock it (KEY SHARE); a parent's that are gone look for children, or act on them. What these
write is noted and followed in turn. Only the transaction's limits bound it, and a cancel ends it.

All checks ask the same: is there no such child any more, or is there its parent? So they may come as late
as they like, for deferred constraints at the commit. The parent is locked: whoever deletes it meanwhile, or
changes its key, meets the lock at the commit (40001).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from dsql.access.privileges import Privilege
from dsql.access.requirements import ColumnsHolding
from dsql.catalog import referential_queries as queries
from dsql.catalog.catalog import Catalog
from dsql.catalog.foreign_keys import Reference, find_reference
from dsql.catalog.schema import Table
from dsql.errors import SqlError
from dsql.executor.violations import orphan, still_referenced
from dsql.session.compiled import CompiledQuery
from dsql.session.pipeline import compile_for_owner

if TYPE_CHECKING:
    from dsql.session.state import SessionState

Noted = tuple[Any, ...]  # see dsql.executor.key_changes


class Constraints:
    """Enforces the foreign keys of one session's transaction."""

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._catalog: Catalog | None = None
        self._compiled: dict[Hashable, CompiledQuery] = {}

    def after_statement(self, query: CompiledQuery) -> None:
        """Follow what a query that has just run has noted. Raises SqlError 23503."""
        block = self._state.block
        while query.watches and block.key_changes:
            changes, block.key_changes = block.key_changes, {}
            for noted, new in changes.items():
                reference = find_reference(noted[0], block.catalog)
                assert reference is not None, "it was noted under this catalog"
                action = _action(reference, noted, new)
                if action == "a" and block.is_deferred(reference.key):
                    block.progress.deferred[noted] = None
                else:
                    self._follow(reference, action, noted, new)

    def check_deferred(self, oids: Container[int] | None = None) -> None:
        """Check what was put off, of some foreign keys only or of all. Raises SqlError 23503."""
        block = self._state.block
        left: dict[Noted, None] = {}
        for noted in block.progress.deferred:
            reference = find_reference(noted[0], block.catalog)
            if oids is not None and noted[0] not in oids:
                left[noted] = None
            elif reference is not None:  # else it was dropped meanwhile
                self._check(reference, noted)
        block.progress.deferred = left  # a savepoint may keep the other one

    def _follow(self, reference: Reference, action: str, noted: Noted, new: Noted | None) -> None:
        if action == "a":
            self._check(reference, noted)
        elif action == "r":
            if self._has_child(reference, noted):
                raise self._still_referenced(reference, noted[2:])
        else:
            self._act(reference, action, noted, new)
            if action == "d":  # which may be what the children had
                self._check(reference, noted)

    # ------------------------------------------------------------ checks

    def _check(self, reference: Reference, noted: Noted) -> None:
        """Raise SqlError 23503 if there is a child with the values noted but no parent; lock that."""
        if self._has_parent(reference, noted) or not self._has_child(reference, noted):
            return
        fault = self._still_referenced if noted[1] else self._orphan
        raise fault(reference, noted[2:])

    def _has_parent(self, reference: Reference, noted: Noted) -> bool:
        values = noted[2:]
        if None in values:
            return False
        query = self._compile(
            noted[:2],
            lambda: queries.lock_parent(reference),
            _types(reference, noted),
            reference.parent,
        )
        return bool(self._run(query, values))

    def _has_child(self, reference: Reference, noted: Noted) -> bool:
        values, types = noted[2:], _types(reference, noted)
        given = [place for place, value in enumerate(values) if value is not None]
        query = self._compile(
            ("child", *noted[:2], *given),
            lambda: queries.find_child(reference, values),
            tuple(types[place] for place in given),
            reference.child,
        )
        return bool(self._run(query, [values[place] for place in given]))

    def _act(self, reference: Reference, action: str, noted: Noted, new: Noted | None) -> None:
        """Run CASCADE, SET NULL or SET DEFAULT for the children of a value that is gone."""
        key, values, types = reference.key, noted[2:], _types(reference, noted)
        if action == "c" and new is not None:
            text, types, values = queries.update_children(reference), types * 2, (*new, *values)
        elif action == "c":
            text = queries.delete_children(reference)
        else:
            numbers = (key.delete_columns if new is None else ()) or key.columns
            text = queries.reset_children(reference, action, numbers)
        try:
            query = self._compile(("act", text), lambda: text, types, reference.child)
            self._run(query, values)
        except SqlError as error:
            error.where = error.where or f'SQL statement "{text}"'
            raise

    def _run(self, query: CompiledQuery, values: Sequence[Any]) -> int:
        """Run a statement; return how many rows it meets."""
        state, program = self._state, query.program
        state.block.follow(query)
        return program.emit(state.context, values, bytearray(), (0,) * len(program.columns))

    def _compile(
        self, known_as: Hashable, text: Callable[[], str], types: tuple[int, ...], table: Table
    ) -> CompiledQuery:
        """Return a statement compiled for the owner of the table that it is about."""
        state = self._state
        if self._catalog is not state.block.catalog:
            self._catalog = state.block.catalog
            self._compiled = {}
        query = self._compiled.get(known_as)
        if query is None:
            owner, plans = table.owner_oid, state.environment.plans
            query = compile_for_owner(text(), types, self._catalog, owner, plans)
            self._compiled[known_as] = query
        return query

    # ------------------------------------------------------------ errors

    def _orphan(self, reference: Reference, values: Noted) -> SqlError:
        is_shown = self._may_see(reference.child, reference.key.columns)
        return orphan(reference, values, self._state.context.settings, is_shown=is_shown)

    def _still_referenced(self, reference: Reference, values: Noted) -> SqlError:
        is_shown = self._may_see(reference.parent, reference.key.referenced)
        return still_referenced(reference, values, self._state.context.settings, is_shown=is_shown)

    def _may_see(self, table: Table, numbers: Sequence[int]) -> bool:
        """Tell whether the user may read values, which an error would show."""
        return ColumnsHolding(table, Privilege.SELECT, tuple(numbers)).is_met(
            self._state.context.authority
        )


def _action(reference: Reference, noted: Noted, new: Noted | None) -> str:
    """Return what follows from something noted, as `ForeignKey` has it: a for a check."""
    if not noted[1]:
        return "a"
    return reference.key.on_delete if new is None else reference.key.on_update


def _types(reference: Reference, noted: Noted) -> tuple[int, ...]:
    """Return the types of the values noted: they are those of the table that was written."""
    key, child, parent = reference
    table, numbers = (parent, key.referenced) if noted[1] else (child, key.columns)
    return tuple(table.columns[number - 1].type_oid for number in numbers)
