"""The grammar gate: PostgreSQL's own parser decides what is SQL.

Everything a client sends passes here first. libpg_query gives PostgreSQL's syntax errors with their
positions, splits scripts, and returns the raw parse nodes which the binder's tree (`dsql.sql.tree`) and
the DDL executor read. What is not PostgreSQL's does not pass through it (`dsql.sql.additions`), nor do
long lists of constants (`dsql.sql.constant_lists`) and of expressions that are alike
(`dsql.sql.expression_lists`).

libpg_query counts bytes from 0, PostgreSQL's clients characters from 1: `ParsedStatement.position`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from dsql.errors import SqlError, syntax_error
from dsql.limits import IDENTIFIER_BYTES_MAX
from dsql.sql.additions import has_additions, take_out_additions
from dsql.sql.chains import has_long_chain
from dsql.sql.collection import uncollected
from dsql.sql.constant_lists import ConstantList, take_out
from dsql.sql.depth import stack_depth_error
from dsql.sql.expression_lists import ExpressionList, Kind, take_out_expressions
from dsql.sql.libpg_query import check_syntax, grammar, parse, scan

# What may be an identifier of more than IDENTIFIER_BYTES_MAX bytes.
_LONG_NAME = re.compile(rb'[\w$\x80-\xff]{64}|"(?:[^"]|""){64}')
_LONG_NAME_BYTES = 129  # that the pattern looks at
_PIECE_BYTES = 1024 * 1024  # of one step of it
# Statements that are read as trees only (`dsql.sql.tree_query`), not node by node.
_WITH_TREES = frozenset(("Select", "Insert", "Update", "Delete", "Merge"))
_BLOCK_BYTES = 1_024
_CHECKED_CHARACTERS_MAX = 200_000  # in what is longer, long lists are worth looking for
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))


class Characters:
    """The characters of a script in UTF-8, counted once so that each question costs a block only."""

    __slots__ = ("_counts", "_script")

    def __init__(self, script: bytes) -> None:
        blocks = range(0, len(script), _BLOCK_BYTES)
        counts = (_count(script[start : start + _BLOCK_BYTES]) for start in blocks)
        self._counts = list(accumulate(counts, initial=0))
        self._script = script

    def before(self, location: int) -> int:
        """Return the number of characters before a byte location."""
        block, rest = divmod(location, _BLOCK_BYTES)
        return self._counts[block] + _count(self._script[location - rest : location])


def _count(encoded: bytes) -> int:
    return len(encoded.translate(None, _CONTINUATION_BYTES))


def _before(characters: Characters | None, location: int) -> int:
    return location if characters is None else characters.before(location)


@dataclass(slots=True)
class ParsedStatement:
    """One statement of a script.

    `text` is its own text, `offset` the characters before it in the script; `node` is libpg_query's
    statement message (SelectStmt, ...) or an `IamGrant`, `name` its name without Stmt ("Select").
    `long_names`, of a script's first statement, are the identifiers of the script that were truncated.
    `lists` are the long lists of constants of which `node` has the first item only, `alike` those of
    expressions for which it has a parameter.
    A long script is parsed in groups (`dsql.sql.script`): locations count from the group's start.
    """

    text: str
    offset: int
    node: Any
    name: str
    asynchronous: bool = False
    _characters: Characters | None = None  # only where the script is not ASCII
    long_names: tuple[str, ...] = ()
    lists: tuple[ConstantList, ...] = ()
    alike: tuple[ExpressionList, ...] = ()
    _group_offset: int = 0  # characters before the group in the script

    def parsed(self) -> ParsedStatement:
        """Return it: it is parsed already. See `dsql.sql.script.Unparsed`."""
        return self

    def move(self, characters: int) -> None:
        """Let the statement be one whose group starts so far into the script."""
        self.offset += characters
        self.lists = tuple(constants.moved(characters) for constants in self.lists)
        for expressions in self.alike:
            expressions.move(characters)
        self._group_offset = characters

    def position(self, location: int) -> int:
        """Return the 1-based character in the script of a 0-based byte location; 0 for none (-1)."""
        if location < 0:
            return 0
        return self._group_offset + _before(self._characters, location) + 1


@uncollected
def parse_script(text: str) -> list[ParsedStatement]:
    """Return the statements of a script in order; none for an empty one.

    Raises SqlError 42601 with PostgreSQL's message and position, 54001 for texts nested too deep, 22021 for
    characters that no UTF-8 text has.
    """
    if "\0" in text:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8": 0x00')
    try:
        script = text.encode()
    except UnicodeEncodeError:
        raise SqlError("22021", 'invalid byte sequence for encoding "UTF8"') from None
    return _without_lists(text, script) or _with_lists(text, script)


def check_script(text: str) -> tuple[str, ...]:
    """Raise what `parse_script` does, but for trees too deep; return the truncated identifiers.

    It leaves the trees where they are, with libpg_query, which is half of the time.
    """
    if has_additions(text) or len(text) > _CHECKED_CHARACTERS_MAX:
        return next((statement.long_names for statement in parse_script(text)), ())
    _check_chains(text)
    check_syntax(text)
    script = text.encode()
    return tuple(_long_names(text, script)) if _may_have_long_name(script) else ()


def whole(statement: ParsedStatement) -> ParsedStatement:
    """Return a statement of a script with its long lists of constants in its node."""
    text = " " * statement.offset + statement.text
    found = _with_lists(text, text.encode())[0]
    return found if found.name == statement.name else explained(found)


def explained(statement: ParsedStatement) -> ParsedStatement:
    """Return the statement in an EXPLAIN."""
    query = statement.node.query
    node = getattr(query, query.WhichOneof("node"))
    return replace(statement, node=node, name=_node_name(type(node).DESCRIPTOR.name))


def _has_tree(statement: ParsedStatement) -> bool:
    explains = statement.name == "Explain"
    return (explained(statement) if explains else statement).name in _WITH_TREES


def _without_lists(text: str, script: bytes) -> list[ParsedStatement]:
    """Return the statements of a script with their long lists taken out.

    There are none if it has no such lists, or something in it needs every constant: errors, for one.
    """
    short, lists = take_out(text)
    short, alike = take_out_expressions(short)
    if not (lists or alike) or has_additions(short):
        return []
    try:
        _check_chains(short)
        statements = _split(parse(short), text, _characters_of(text, script), [])
    except SqlError:
        return []
    if not all(map(_has_tree, statements)):
        return []
    waiting, others = deque(lists), deque(alike)
    for statement in statements:
        end = statement.offset + len(statement.text)
        while waiting and waiting[0].position <= end:
            statement.lists += (waiting.popleft(),)
        while others and others[0].position <= end:
            statement.alike += (others.popleft(),)
    _note_long_names(statements, short)
    return statements


def _with_lists(text: str, script: bytes) -> list[ParsedStatement]:
    _check_chains(text)
    statements = _statements(text, script)
    _note_long_names(statements, text)
    return statements


def _note_long_names(statements: list[ParsedStatement], text: str) -> None:
    script = text.encode()
    if statements and _may_have_long_name(script):
        statements[0].long_names = tuple(_long_names(text, script))


def _characters_of(text: str, script: bytes) -> Characters | None:
    return None if len(script) == len(text) else Characters(script)


def _statements(text: str, script: bytes) -> list[ParsedStatement]:
    characters = _characters_of(text, script)
    if not has_additions(text):
        return _split(parse(text), text, characters, [])
    masked, asynchronous, grants = take_out_additions(text, script)
    parsed = _split(parse(masked), text, characters, asynchronous)
    for start, end, grant in grants:
        offset = _before(characters, start)
        slice_ = text[offset : _before(characters, end)]
        parsed.append(ParsedStatement(slice_, offset, grant, "IamGrant", _characters=characters))
    return sorted(parsed, key=lambda statement: statement.offset)


def _may_have_long_name(script: bytes) -> bool:
    """Return whether it is worth to look for names that are truncated."""
    return any(
        _LONG_NAME.search(script, start, start + _PIECE_BYTES + _LONG_NAME_BYTES)
        for start in range(0, len(script), _PIECE_BYTES)
    )


def _long_names(text: str, script: bytes) -> Iterator[str]:
    """Yield the identifiers that are longer than PostgreSQL keeps, in full, as often as they occur."""
    for token in scan(text):
        word = script[token.start : token.end]
        if token.token == grammar.IDENT:
            quoted = word.startswith(b'"')
            name = word[1:-1].replace(b'""', b'"') if quoted else word.lower()
            if len(name) > IDENTIFIER_BYTES_MAX:
                yield name.decode()


def parse_statement(text: str) -> ParsedStatement:
    """Return the one statement of a text. Raises SqlError 42601 if there is not exactly one."""
    statements = parse_script(text)
    if len(statements) != 1:
        raise syntax_error("cannot insert multiple commands into a prepared statement")
    return statements[0]


def parse_stored(text: str) -> ParsedStatement:
    """Return the one statement of a text of the catalog, with its long lists in its node."""
    statement = parse_statement(text)
    return whole(statement) if statement.lists or statement.alike else statement


def parse_kind(kind: Kind) -> tuple[ParsedStatement, Any]:
    """Return the libpg_query node of a kind of a list, as `parse_expression`; of WHEN ... a whole CASE."""
    start, end = ("SELECT (CASE ", " END)") if kind.is_branch else ("SELECT (", ")")
    text = f"{start}{kind.text}{end}"
    _check_chains(text)
    (statement,) = _split(parse(text), text, _characters_of(text, text.encode()), [])
    statement.move(kind.position - 1 - len(start))
    return statement, statement.node.target_list[0].res_target.val


def parse_expression(text: str) -> tuple[ParsedStatement, Any]:
    """Return the libpg_query node of a lone expression, with the statement its positions belong to."""
    statement = parse_stored(f"SELECT ({text}\n)")
    return statement, statement.node.target_list[0].res_target.val


def _split(
    result: Any, text: str, characters: Characters | None, asynchronous: list[int]
) -> list[ParsedStatement]:
    statements = []
    for raw in result.stmts:
        start = raw.stmt_location
        end = start + raw.stmt_len if raw.stmt_len else None
        field = raw.stmt.WhichOneof("node")
        node = getattr(raw.stmt, field)
        if field == "select_stmt" and _first_select(node).HasField("into_clause"):
            node = _as_create_table(node)
        offset = _before(characters, start)
        part = text[offset:] if end is None else text[offset : _before(characters, end)]
        stripped = part.lstrip()
        is_asynchronous = bool(asynchronous) and any(
            start <= at and (end is None or at < end) for at in asynchronous
        )
        statements.append(
            ParsedStatement(
                text=stripped.rstrip(),
                offset=offset + len(part) - len(stripped),
                node=node,
                name=_node_name(type(node).DESCRIPTOR.name),
                asynchronous=is_asynchronous,
                _characters=characters,
            )
        )
    return statements


def _as_create_table(select: Any) -> Any:
    """Return SELECT ... INTO as the CREATE TABLE ... AS that it is."""
    query = grammar.SelectStmt()
    query.CopyFrom(select)
    first = _first_select(query)
    into = grammar.IntoClause()
    into.CopyFrom(first.into_clause)
    first.ClearField("into_clause")
    return grammar.CreateTableAsStmt(
        query=grammar.Node(select_stmt=query),
        into=into,
        objtype=grammar.OBJECT_TABLE,
        is_select_into=True,
    )


def _first_select(select: Any) -> Any:
    """Return the first SELECT of a set operation, which is the one that may have INTO."""
    while select.op not in (0, grammar.SETOP_NONE):
        select = select.larg
    return select


def _node_name(message_name: str) -> str:
    return message_name.removesuffix("Stmt")


def _check_chains(text: str) -> None:
    """Refuse left-deep chains that would overflow the C stack of the parser."""
    if has_long_chain(text, scan):
        raise stack_depth_error()
