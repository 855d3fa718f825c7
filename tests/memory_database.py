"""A database in a dict: statements go through binder, planner and compiler, rows into memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import dsql.functions.builtin
import dsql.types.builtin  # noqa: F401
from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import CheckConstraint, Column, Index, IndexColumn, Role, Schema, Table
from dsql.executor.compiler import CompiledProgram, prepare
from dsql.executor.memory import Bounds, StatementMemory
from dsql.executor.temporary import TemporarySpace, unnamed_file
from dsql.sql.binder import bind
from dsql.sql.gate import parse_statement
from dsql.transaction.interface import Mode
from dsql.types.type import FormatSettings

INT4, INT8, TEXT, NUMERIC, BOOL = 23, 20, 25, 1700, 16


class MemoryTransaction:
    """The transaction interface over a dict. Scans see the state at their start."""

    start_timestamp = 1

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self.modes: dict[bytes, Mode] = {}
        self.rows = 0
        self.reads = 0
        self.scans = 0

    def get(self, key: bytes) -> bytes | None:
        return self.data.get(key)

    @property
    def read(self) -> Callable[[bytes], bytes | None]:
        before = dict(self.data)  # programs ask once, as they start

        def read(key: bytes) -> bytes | None:
            self.reads += 1
            return before.get(key)

        return read

    def scan(
        self, low: bytes, high: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        self.scans += 1
        items = sorted(item for item in self.data.items() if low <= item[0] < high)
        return iter(items[::-1] if reverse else items)

    def put(self, key: bytes, value: bytes, mode: Mode, *, row: bool = False) -> None:
        self.data[key] = value
        self.modes[key] = mode
        self.rows += row

    room = 1_000_000

    def may_have(self, keys: Iterable[bytes]) -> bool:
        return any(key in self.data for key in keys)

    def put_rows(self, rows: dict[bytes, bytes]) -> None:
        for key, value in rows.items():
            self.put(key, value, Mode.EXCLUSIVE, row=True)

    def delete(self, key: bytes, mode: Mode, *, row: bool = False) -> None:
        self.data.pop(key, None)
        self.modes[key] = mode
        self.rows += row

    def check(self, key: bytes, mode: Mode) -> None:
        self.modes[key] = mode


class MemoryFacts:
    """A session that has nothing."""

    process_id = 7
    client_address = None
    server_since = 0
    stored_bytes = 0
    channels: tuple[str, ...] = ()
    notification_usage = 0.0

    def timestamp(self, time: int) -> int | None:
        return time or None

    def sessions(self) -> list[Any]:
        return []

    def signal(self, process_id: int, *, ends: bool) -> None:
        raise AssertionError("there are no sessions")

    def warn(self, message: str) -> None:
        """Tell nobody."""

    def export_snapshot(self) -> str:
        return "00000001-1"

    def transaction_id(self, *, assign: bool) -> int | None:
        return 1 if assign else None

    def settings(self) -> list[Any]:
        return []

    def notify(self, channel: str, payload: str) -> None:
        pass

    def take_lock(self, tag: tuple[int, int, int], **how: bool) -> bool:
        return True

    def give_lock_up(self, tag: tuple[int, int, int], *, shared: bool) -> bool:
        return False

    def give_all_locks_up(self) -> None:
        pass

    def locks(self) -> list[Any]:
        return []

    def cursors(self) -> list[Any]:
        return []

    def prepared_statements(self) -> list[Any]:
        return []


@dataclass
class MemoryContext:
    """What a program needs while it runs."""

    transaction: MemoryTransaction
    catalog: Catalog
    statement_timestamp: int = 800_000_000_000_000
    transaction_timestamp: int = 800_000_000_000_000
    user: Role = field(default_factory=lambda: Role(10, "admin", True))
    session_user: Role = field(default_factory=lambda: Role(10, "admin", True))
    settings: FormatSettings = field(default_factory=FormatSettings)
    search_path: tuple[str, ...] = ("public",)
    profile: str = "postgres"
    facts: MemoryFacts = field(default_factory=MemoryFacts)
    authority: None = None  # whose rights nobody asks about
    bounds: Bounds = field(default_factory=Bounds)
    account: StatementMemory | None = None
    temporary: TemporarySpace = field(default_factory=lambda: TemporarySpace(unnamed_file))

    def setting(self, name: str) -> str:
        return ""

    def set_setting(self, name: str, value: str | None, *, local: bool) -> str:
        return value or ""

    def check_cancel(self) -> None:
        pass

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    @property
    def memory(self) -> StatementMemory:
        if self.account is None:
            self.account = StatementMemory(self.bounds, self.temporary)
        return self.account


def columns(*specs: tuple[Any, ...]) -> tuple[Column, ...]:
    return tuple(
        Column(
            name=spec[0],
            number=number,
            type_oid=spec[1],
            not_null="not null" in spec[2:],
            default=next((s[8:] for s in spec[2:] if s.startswith("default ")), None),
        )
        for number, spec in enumerate(specs, 1)
    )


def index(oid: int, name: str, *numbers: int, **options: Any) -> Index:
    parts = tuple(IndexColumn(number) for number in numbers)
    return Index(oid=oid, name=name, columns=parts, **options)


def tables() -> list[Table]:
    """t and u with keys and indexes, heap without any key, pair with a key of two columns."""
    return [
        Table(
            20000, "public", "t", 10,
            columns(("id", INT4, "not null"), ("a", INT4), ("b", TEXT), ("n", NUMERIC)),
            (
                index(20001, "t_pkey", 1, unique=True, primary=True, constraint="t_pkey"),
                index(20002, "t_a_idx", 2),
            ),
        ),
        Table(
            20010, "public", "u", 10,
            columns(("id", INT8, "not null"), ("t_id", INT4), ("code", TEXT),
                    ("flag", BOOL, "default true")),
            (
                index(20011, "u_pkey", 1, unique=True, primary=True, constraint="u_pkey"),
                index(20012, "u_code_key", 3, unique=True, constraint="u_code_key"),
            ),
            (CheckConstraint(20013, "u_id_check", "id > 0"),),
        ),
        Table(20020, "public", "heap", 10, columns(("x", INT4), ("y", TEXT))),
        Table(
            20030, "public", "pair", 10,
            columns(("k1", INT4, "not null"), ("k2", TEXT, "not null"), ("v", INT4)),
            (index(20031, "pair_pkey", 1, 2, unique=True, primary=True, constraint="pair_pkey"),),
        ),
        Table(
            20040, "public", "odd", 10,
            columns(("id", INT4, "not null"), ("mail", TEXT), ("active", BOOL), ("z", INT4)),
            (
                index(20041, "odd_pkey", 1, unique=True, primary=True),
                Index(20042, "odd_mail", (IndexColumn(0, "lower(mail)", TEXT),), unique=True),
                index(20043, "odd_active", 4, unique=True, predicate="active"),
                index(20044, "odd_nulls", 2, 3, unique=True, nulls_not_distinct=True),
            ),
        ),
    ]  # fmt: skip


class Database:
    """Runs SQL texts."""

    def __init__(self, definitions: list[Table]) -> None:
        self.catalog = Catalog(
            1, [Schema(2200, "public", 10)], definitions, [Role(10, "admin", True)]
        )
        self.transaction = MemoryTransaction()
        self.context = MemoryContext(self.transaction, self.catalog)

    def prepare(self, text: str, parameter_types: tuple[int, ...] = ()) -> CompiledProgram:
        statement = parse_statement(text)
        bound = bind(
            statement, self.catalog, ("public",), self.context.settings, parameter_types,
            profile="postgres",
        )  # fmt: skip
        return prepare(bound)

    def run(self, text: str, *parameters: Any, types: tuple[int, ...] = ()) -> list[Any]:
        self.context.account = None
        return list(self.prepare(text, types).rows(self.context, parameters))

    def count(self, text: str, *parameters: Any) -> int:
        rows = self.prepare(text).rows(self.context, parameters)
        while True:
            try:
                next(rows)
            except StopIteration as stop:
                return int(stop.value)

    def explain(self, text: str) -> list[str]:
        from dsql.planner.explain import Style, show
        from dsql.planner.explain_text import text_of

        style = Style(costs=False)
        return text_of(show(self.prepare(text).plan, style), style)
