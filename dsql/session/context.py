"""What a running statement can ask of its session."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from dsql.access.authority import Authority
from dsql.catalog.catalog import Catalog
from dsql.catalog.foreign_keys import find_reference
from dsql.catalog.jobs import Job, format_identifier
from dsql.catalog.schema import Role, Schema
from dsql.ddl.nodes import enum_name
from dsql.executor.memory import StatementMemory
from dsql.functions.function import SessionFacts
from dsql.sequences.session import SessionSequences
from dsql.session.block import KeyChanges, TransactionBlock
from dsql.session.compiled import CompiledQuery
from dsql.session.environment import Environment, SessionTransaction
from dsql.session.identity import Standpoint, find_standpoint
from dsql.session.interrupts import Interrupts
from dsql.session.parameters import parameter_key
from dsql.session.routines import Routines
from dsql.session.settings import Settings
from dsql.types.type import FormatSettings

POSTGRES_EPOCH_MICROSECONDS = 946_684_800_000_000  # 2000-01-01 since 1970-01-01


class SessionContext:
    """An ExecutionContext and UtilityContext, one object for the whole session.

    `after_statement` enforces foreign keys (`dsql.session.constraints`). `flush` sends what a program has
    appended to its output so far, whole messages only, and empties it.
    `facts`, what the session tells about itself, it gets from the session.
    """

    facts: SessionFacts

    def __init__(
        self,
        environment: Environment,
        settings: Settings,
        interrupts: Interrupts,
        block: TransactionBlock,
        sequences: SessionSequences,
        after_statement: Callable[[CompiledQuery], None],
        flush: Callable[[bytearray], None],
    ) -> None:
        self._environment = environment
        self._now = environment.now
        self._interrupts = interrupts
        self.check_cancel = interrupts.check
        self.pause = interrupts.pause
        self._settings = settings
        self._block = block
        self.sequences = sequences
        self.flush = flush
        self.statement_timestamp = 0
        self.known_session_id = ""
        self._memory: StatementMemory | None = None
        self._accounts: WeakSet[StatementMemory] = WeakSet()  # suspended statements keep theirs
        self._standpoint: Standpoint | None = None
        self._generation = -1
        self._routines = Routines(self, settings, block, environment.plans, after_statement)
        self.call_sql_function = self._routines.run

    def take_apart(self) -> None:
        """Let go of all that knows this context: the session is over."""
        self._routines.take_apart()

    @property
    def session_id(self) -> str:
        """What tells this session from all others, past ones too: 26 characters of base32."""
        self.known_session_id = self.known_session_id or format_identifier(secrets.token_bytes(16))
        return self.known_session_id

    @staticmethod
    def since_2000(time: int) -> int:
        """Return a time in microseconds since 1970 as a timestamptz."""
        return time - POSTGRES_EPOCH_MICROSECONDS

    @staticmethod
    def since_1970(timestamp: int) -> int:
        """Return a timestamptz in microseconds since 1970."""
        return timestamp + POSTGRES_EPOCH_MICROSECONDS

    def start_statement(self) -> None:
        """Take the statement's time; its timeout begins, if it has not before."""
        if self._settings.statement_timeout_seconds:
            self._interrupts.begin_statement()
        now = self._now()
        self.statement_timestamp = now - POSTGRES_EPOCH_MICROSECONDS
        self._memory = None
        if not self._block.started_at:
            self._block.started_at = now

    @property
    def memory(self) -> StatementMemory:
        """The running statement's account, opened when it is first asked for."""
        memory = self._memory
        if memory is None:
            held = sum(account.own for account in self._accounts)
            held_temporary = sum(account.own_temporary for account in self._accounts)
            own = self._block.temporary
            environment = self._environment
            memory = StatementMemory(
                self._settings.bounds,
                environment.temporary,
                self.check_cancel,
                held,
                environment.memory,
                held_temporary + (0 if own is None else own.store.size),
            )
            self._memory = memory
            self._accounts.add(memory)
        return memory

    @property
    def transaction_timestamp(self) -> int:
        """The start of the transaction, microseconds since 2000-01-01 UTC."""
        if not self._block.started_at:
            self._block.started_at = self._now()
        return self._block.started_at - POSTGRES_EPOCH_MICROSECONDS

    @property
    def transaction(self) -> SessionTransaction:
        """The running transaction."""
        return self._block.transaction

    @property
    def read_only(self) -> bool:
        """Whether the running transaction is."""
        return bool(self._block.progress.modes.read_only)

    @property
    def key_changes(self) -> KeyChanges:
        """What the running statement has noted for foreign keys."""
        return self._block.key_changes

    @property
    def catalog(self) -> Catalog:
        """The catalog at the transaction's snapshot."""
        return self._block.catalog

    def temporary_schema(self) -> Schema:
        """Return the session's temporary schema, made now if need be. Raises SqlError 53100, 58030."""
        return self._block.open_temporary().schema

    @property
    def settings(self) -> FormatSettings:
        """What text formats depend on."""
        return self._settings.formats

    @property
    def search_path(self) -> tuple[str, ...]:
        """See `dsql.functions.function.Context`."""
        return self.standpoint.search_path

    @property
    def profile(self) -> str:
        """The session's profile: dsql or postgres."""
        return self._settings.profile

    @property
    def cluster(self) -> str:
        """The cluster's identifier."""
        return self._environment.cluster

    @property
    def user(self) -> Role:
        """The role whose rights count."""
        return self.standpoint.role

    @property
    def session_user(self) -> Role:
        """The role that logged in."""
        return self.standpoint.session_role

    @property
    def authority(self) -> Authority:
        """The rights of that role."""
        return self.standpoint.authority

    @property
    def standpoint(self) -> Standpoint:
        """What names and rights mean now. Raises FatalError 57P01 if the session's role was dropped."""
        catalog, generation = self._block.catalog, self._settings.generation
        found = self._standpoint
        if found is None or found.catalog is not catalog or self._generation != generation:
            self._standpoint = found = find_standpoint(catalog, self._settings)
            self._generation = generation
        return found

    def setting(self, name: str) -> str:
        """Return a parameter as SHOW prints it. Raises SqlError 42704."""
        return self._settings.show(name)

    def set_setting(self, name: str, value: str | None, *, local: bool) -> str:
        """Set a parameter as SET does (None: as RESET does) and return its new text."""
        _ = self._block.transaction  # so that a rollback undoes it
        return self._settings.set(name, value, local=local)

    def function_setting(self, node: Any) -> tuple[str, str | None]:
        """See `dsql.ddl.result.UtilityContext`."""
        from dsql.session.variables import value_of

        if enum_name(node, "kind") == "VAR_RESET_ALL":
            return "", None
        text = value_of(node, self._settings)
        checked = self._settings.check(node.name, text)
        return parameter_key(node.name), None if text is None else checked

    @property
    def is_block(self) -> bool:
        """Whether more than the running statement belongs to the transaction."""
        return self._block.is_block

    @property
    def tables_to_be_checked(self) -> frozenset[int]:
        """See `dsql.ddl.result.UtilityContext`."""
        written = set()
        for noted in self._block.progress.deferred:
            reference = find_reference(noted[0], self.catalog)
            if reference is not None:
                written.add((reference.parent if noted[1] else reference.child).oid)
        return frozenset(written)

    def forget_catalog(self) -> None:
        """Have `catalog` be looked up again, because the running statement has changed it."""
        self._block.forget_catalog()

    def request_jobs(self) -> None:
        """Have the cluster's background jobs looked at once this transaction has committed."""
        self._block.request_jobs()

    def run_after_commit(self, job: Job) -> None:
        """Run a submitted job once the transaction has committed, and wait for it."""
        self._block.run_after_commit(job)
