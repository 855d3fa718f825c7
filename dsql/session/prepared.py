"""A session's prepared statements, by the protocol's Parse or SQL's PREPARE: one name space.

They are not the transaction's: what has been prepared stays so when that is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.executor.memory import out_of_memory
from dsql.limits import PREPARED_CHARACTERS_MAX
from dsql.session.pipeline import QUERIES
from dsql.session.state import SessionState
from dsql.session.statement import MovedStatement, QueryStatement, Statement
from dsql.sql.gate import ParsedStatement
from dsql.sql.prepare import declared_types, kept_statement

_CHECK_STATEMENTS, _SHORT_CHARACTERS = 32, 10_000


class Source(NamedTuple):
    """What a statement is made from: its text, that of the whole PREPARE if it came `by_sql`.

    `time`: when it was prepared, microseconds since 1970.
    """

    text: str
    by_sql: bool
    time: int


def find_statement(state: SessionState, name: bytes) -> Statement:
    """Return a prepared statement. Raises SqlError 26000, and for a moved one what making it raises."""
    statement = state.statements.get(name)
    if statement is None:
        raise _missing(name)
    if isinstance(statement, MovedStatement):
        state.statements[name] = statement = statement.make(statement)
    return statement


def check_is_new(state: SessionState, name: bytes) -> None:
    """Raise SqlError 42P05 for a name that is taken."""
    if name in state.statements:
        shown = name.decode(errors="replace")
        raise SqlError("42P05", f'prepared statement "{shown}" already exists')


def keep_statement(
    state: SessionState, name: bytes, statement: Statement, text: str, *, by_sql: bool = False
) -> None:
    """Keep a statement under a name.

    Raises SqlError 53200 if the session's named ones are too many for its memory. The unnamed one is
    there once, and no longer than a message may be.
    """
    sources = state.sources
    sources[name] = Source(text, by_sql, state.environment.now())
    if name and (len(sources) % _CHECK_STATEMENTS == 0 or len(text) >= _SHORT_CHARACTERS):
        for gone in sources.keys() - state.statements.keys() - {name}:
            del sources[gone]
        if sum(len(one.text) for known, one in sources.items() if known) > PREPARED_CHARACTERS_MAX:
            del sources[name]
            raise out_of_memory("The session's prepared statements are too long together.")
    state.statements[name] = statement


def run_prepare(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run PREPARE name [(types)] AS statement."""
    name = parsed.node.name
    statement = make_prepared(state, parsed, declared_types(parsed))
    statement.describe()
    check_is_new(state, name.encode())
    keep_statement(state, name.encode(), statement, parsed.text, by_sql=True)
    return UtilityResult("PREPARE")


def make_prepared(
    state: SessionState, parsed: ParsedStatement, types: tuple[int, ...]
) -> QueryStatement:
    """Return the statement of a PREPARE."""
    kept = kept_statement(parsed)
    if kept.name not in QUERIES:
        raise unsupported(f"unsupported statement: {kept.name}")
    return QueryStatement(state, kept, types, parsed.node.name)


def run_deallocate(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run DEALLOCATE name or DEALLOCATE ALL."""
    if parsed.node.isall:
        state.statements.clear()
        return UtilityResult("DEALLOCATE ALL")
    name = parsed.node.name.encode()
    if state.statements.pop(name, None) is None:
        raise _missing(name)
    return UtilityResult("DEALLOCATE")


def describe_statements(state: SessionState) -> Iterator[Mapping[str, Any]]:
    """Yield a row of pg_prepared_statements for each named statement."""
    for name in [name for name in state.statements if name]:
        source, statement = state.sources[name], state.statements[name]
        types, _ = statement.settled()
        yield {
            "name": name.decode(errors="replace"),
            "statement": source.text,
            "prepare_time": state.context.since_2000(source.time),
            "parameter_types": list(types),
            "from_sql": source.by_sql,
        }


def _missing(name: bytes) -> SqlError:
    if not name:
        return SqlError("26000", "unnamed prepared statement does not exist")
    shown = name.decode(errors="replace")
    return SqlError("26000", f'prepared statement "{shown}" does not exist')
