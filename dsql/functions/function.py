"""What an operator, function, aggregate or cast is to the binder and to generated code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dsql.catalog.schema import ADMIN_OID, Acl, Role, SqlFunction
from dsql.types.type import FormatSettings

Columns = tuple[tuple[str, int, int], ...]
# How a call with a syntax of its own is written, given its arguments' texts and its ORDER BY's ("").
Written = Callable[[Sequence[str], str], str]


class Memory(Protocol):
    """The running statement's account: what aggregates and functions that gather values charge."""

    def hold(self) -> Any:
        """Return a `dsql.executor.memory.Held`: `add(bytes)` charges, and its end gives all back."""
        ...


class SessionFacts(Protocol):
    """What a session tells about itself. Rows are mappings from the columns of a computed table."""

    @property
    def process_id(self) -> int:
        """What names the session to others: pg_backend_pid()."""
        ...

    @property
    def client_address(self) -> tuple[str, int] | None:
        """Address and port of the client, None where they are not known."""
        ...

    @property
    def server_since(self) -> int:
        """When the server began, microseconds since 2000-01-01."""
        ...

    @property
    def stored_bytes(self) -> int:
        """What the database takes on disk."""
        ...

    def timestamp(self, time: int) -> int | None:
        """Return a time in microseconds since 1970 as a timestamptz, None for 0."""
        ...

    def sessions(self) -> Iterable[Any]:
        """Return the `dsql.session.activity.Activity` of every session of the cluster."""
        ...

    def signal(self, process_id: int, *, ends: bool) -> None:
        """Have a session of the cluster cancel what it runs, or end."""
        ...

    def transaction_id(self, *, assign: bool) -> int | None:
        """Return the transaction's id; unless it is to `assign` one, None if there is none yet."""
        ...

    def notify(self, channel: str, payload: str) -> None:
        """Have the transaction tell a channel when it commits. Raises SqlError 22023, 54000."""
        ...

    def take_lock(
        self, tag: tuple[int, int, int], *, shared: bool, for_transaction: bool, waits: bool
    ) -> bool:
        """Take an advisory lock, for the session or its transaction; return whether it was taken.

        `tag`: a bigint's halves and 1, or two integers and 2, unsigned. Raises SqlError 55P03, 40P01.
        """
        ...

    def give_lock_up(self, tag: tuple[int, int, int], *, shared: bool) -> bool:
        """Give up an advisory lock of the session; return whether it had it."""
        ...

    def give_all_locks_up(self) -> None:
        """Give up all advisory locks of the session."""
        ...

    def locks(self) -> Iterable[Any]:
        """Return the `dsql.session.advisory_locks.Entry` of every advisory lock of the cluster."""
        ...

    @property
    def channels(self) -> Iterable[str]:
        """The channels that the session listens to."""
        ...

    @property
    def notification_usage(self) -> float:
        """What waits for the client of what may wait, from 0 to 1."""
        ...

    def settings(self) -> Iterable[Mapping[str, Any]]:
        """Return the rows of pg_settings."""
        ...

    def cursors(self) -> Iterable[Mapping[str, Any]]:
        """Return the rows of pg_cursors."""
        ...

    def prepared_statements(self) -> Iterable[Mapping[str, Any]]:
        """Return the rows of pg_prepared_statements."""
        ...


class Context(Protocol):
    """What a running statement offers to functions that look beyond their arguments."""

    @property
    def statement_timestamp(self) -> int:
        """The statement's start, microseconds since 2000-01-01 UTC."""
        ...

    @property
    def transaction_timestamp(self) -> int:
        """The transaction's start, microseconds since 2000-01-01 UTC."""
        ...

    @property
    def user(self) -> Role:
        """The role whose rights count."""
        ...

    @property
    def session_user(self) -> Role:
        """The role that logged in."""
        ...

    @property
    def settings(self) -> FormatSettings:
        """What text formats depend on."""
        ...

    @property
    def search_path(self) -> tuple[str, ...]:
        """The schemas to look in, in order: those of the parameter that exist and are open to the user."""
        ...

    @property
    def catalog(self) -> Any:
        """The `dsql.catalog.catalog.Catalog` of the snapshot."""
        ...

    @property
    def profile(self) -> str:
        """The session's profile: dsql or postgres."""
        ...

    @property
    def session_id(self) -> str:
        """What tells the session from all others: 26 characters."""
        ...

    @property
    def facts(self) -> SessionFacts:
        """What the session tells about itself."""
        ...

    @property
    def memory(self) -> Any:
        """The running statement's `dsql.executor.memory.StatementMemory`, a `Memory`."""
        ...

    @property
    def sequences(self) -> Any:
        """The session's `dsql.sequences.session.SessionSequences`."""
        ...

    def setting(self, name: str) -> str:
        """Return a session parameter as SHOW prints it. Raises SqlError 42704."""
        ...

    def set_setting(self, name: str, value: str | None, *, local: bool) -> str:
        """Set a session parameter as SET does (None: as RESET does) and return its new text."""
        ...

    def call_sql_function(self, call: Any, arguments: Sequence[Any]) -> Any:
        """Run a function in LANGUAGE SQL, as a `dsql.sql.sql_functions.SqlCall` asks for it.

        Returns its value, or an iterable of them if it returns a set.
        """
        ...

    def check_cancel(self) -> None:
        """Raise Interrupted if the statement is to end (a cancel, a timeout); cheap, for long loops."""
        ...

    def pause(self, seconds: float) -> None:
        """Sleep so long, or until the statement is to end: then raise Interrupted."""
        ...


@dataclass(frozen=True, slots=True)
class Function:
    """A function, operator implementation or cast with one signature (a row of pg_proc).

    `implementation` takes the runtime values in order, with the Context first if `needs_context`, and
    returns a runtime value, or an iterable of them if `returns_set` (tuples for several columns).
    `strict` ones are never called with None: generated code returns NULL instead.
    `template`, if given, is a Python expression over {0}, {1}, ... that generated code inlines instead
    of a call (never with None if strict); its free names are in `dsql.functions.templates.NAMES`.
    Polymorphic signatures use the OIDs of anyelement, anyarray and so on; `resolve` returns them with
    the actual types filled in. `variadic` functions take the last argument as a list.
    `shape`, of a function that returns records, makes the implementation of a call in FROM whose columns
    (name, type OID, typmod) are defined there. `acl` is None for what everybody may call.
    """

    oid: int
    name: str
    argument_types: tuple[int, ...]
    return_type: int
    implementation: Callable[..., Any]
    template: str = ""
    strict: bool = True
    volatility: str = "i"  # pg_proc.provolatile: i, s, v
    returns_set: bool = False
    needs_context: bool = False
    variadic: bool = False
    default_arguments: tuple[Any, ...] = ()  # values for the last parameters
    argument_names: tuple[str, ...] = ()
    columns: tuple[tuple[str, int], ...] = ()  # of a record-returning function: (name, type OID)
    schema: str = "pg_catalog"
    definition: SqlFunction | None = None  # of a function in LANGUAGE SQL; its defaults are texts
    shape: Callable[[Columns], Callable[..., Any]] | None = None
    written: Written | None = None
    acl: Acl | None = None

    @property
    def owner_oid(self) -> int:
        """Whose it is, if it is the system's."""
        return ADMIN_OID


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator signature (a row of pg_operator). `left_type` is 0 for a prefix operator.

    `commutator` and `negator` are operator names, "" if none. For a btree comparison `strategy` is one
    of "<", "<=", "=", ">=", ">" and the planner may turn it into a key range; else "".
    """

    oid: int
    name: str
    left_type: int
    right_type: int
    function: Function
    commutator: str = ""
    negator: str = ""
    strategy: str = ""
    hashable: bool = False


@dataclass(frozen=True, slots=True)
class Aggregate:
    """An aggregate with one signature.

    The accumulator is what `initial()` returns; `step(accumulator, *arguments)` returns the next one;
    `final(accumulator)` the result. Unless `keeps_nulls`, rows with a NULL argument are skipped. If it
    `gathers`, the accumulator is a list that keeps the arguments as they are, or the text that
    `item(context, *arguments)` makes of them and `step` is given in their place. Whoever calls `step`
    accounts for them, and may join the lists of parts of the rows. With `any_order` the result does not
    depend on the order of the rows. `step_template`, if given, is a Python expression over {0}, the
    accumulator, and {1}, ...
    An `ordered_set` aggregate takes the WITHIN GROUP values, sorted, as the arguments of `step`, and its
    `direct_arguments` values at the end: `final(accumulator, *direct)`. One that `gathers` is not stepped,
    but given a sequence of all values at the end.
    """

    oid: int
    name: str
    argument_types: tuple[int, ...]
    return_type: int
    initial: Callable[..., Any]
    step: Callable[..., Any]
    final: Callable[[Any], Any]
    step_template: str = ""
    keeps_nulls: bool = False
    variadic: bool = False
    direct_arguments: int = 0  # ordered-set aggregates: how many come before WITHIN GROUP
    ordered_set: bool = False
    gathers: bool = False
    item: Callable[..., str] | None = None
    any_order: bool = False
    written: Written | None = None


@dataclass(frozen=True, slots=True)
class WindowFunction:
    """A pure window function (row_number, rank, lag, ...).

    `compute(rows)` takes, for one partition in order, a `dsql.functions.windows.WindowRows` of the
    executor and yields a value per row.
    """

    oid: int
    name: str
    argument_types: tuple[int, ...]
    return_type: int
    compute: Callable[[Any], Any]
    defaults: tuple[Any, ...] = field(default=())
