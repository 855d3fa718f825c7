"""The grammar gate: PostgreSQL's own parser decides what is SQL.

Everything a client sends passes here first. libpg_query gives PostgreSQL's syntax errors with their
positions, splits scripts, and returns the raw parse nodes which the binder's tree (`dsql.sql.tree`) and
the DDL executor read. Three statements are not PostgreSQL's and are taken out by token before it looks,
with spaces in their place so that every position stays what the client sees:

    CREATE [UNIQUE] INDEX ASYNC ...               -> the index node, `asynchronous` set
    ALTER TABLE ASYNC t VALIDATE CONSTRAINT c     -> the alter node, `asynchronous` set
    AWS IAM GRANT role TO 'arn' | REVOKE ... FROM -> an `IamGrant`

Long lists of constants do not pass through libpg_query either: see `dsql.sql.constant_lists`.

libpg_query counts bytes from 0, PostgreSQL's clients characters from 1: `ParsedStatement.position`.
"""

from __future__ import annotations

import importlib
import mmap
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from dsql.errors import SqlError, syntax_error
from dsql.limits import IDENTIFIER_BYTES_MAX
from dsql.sql.chains import has_long_chain
from dsql.sql.collection import uncollected
from dsql.sql.constant_lists import ConstantList, take_out
from dsql.sql.depth import allow_deep_statements, stack_depth_error

# Imported by name because mypy cannot parse the stub of postgast's generated messages.
postgast: Any = importlib.import_module("postgast")
grammar: Any = importlib.import_module("postgast.pg_query_pb2")
_native: Any = importlib.import_module("postgast.native").lib
_message: Any = importlib.import_module("google._upb._message")
check_error: Any = importlib.import_module("postgast.errors").check_error
_DecodeError: Any = importlib.import_module("google.protobuf.message").DecodeError

# Protobuf stops at 100 nested messages by default, which is an expression of 45 operators.
_message.SetAllowOversizeProtos(True)
allow_deep_statements()

# What may be an identifier of more than IDENTIFIER_BYTES_MAX bytes.
_LONG_NAME = re.compile(rb'[\w$\x80-\xff]{64}|"(?:[^"]|""){64}')
# Statements that are read as trees only (`dsql.sql.tree_query`), not node by node.
_WITH_TREES = frozenset(("Select", "Insert", "Update", "Delete"))
_BLOCK_BYTES = 1_024
# What libpg_query and its tree take at most was measured as 520 bytes for a character of `1+1+1...`; texts
# that are longer than for a tree of TREE_BYTES_MAX are rarely so dense.
_SMALL_CHARACTERS = 1_000
_TREE_BYTES_PER_CHARACTER = 600
_TREE_BYTES_MAX = 64 * 1024 * 1024
_CHECKED_CHARACTERS_MAX = 200_000  # in what is longer, long lists are worth looking for
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))
_ADDITION = re.compile(r"\basync\b|\baws\s", re.IGNORECASE)

_SQLSTATE_BY_MESSAGE = (
    ("frame start", "42P20"),
    ("frame end", "42P20"),
    ("memory exhausted", "54001"),
    ("invalid Unicode escape", "22025"),
    ("invalid Unicode surrogate", "22025"),
    ("invalid Unicode", "22025"),
    ("unsafe use of \\'", "22P06"),
    ("invalid byte sequence", "22021"),
    ("conversion specifier", "0A000"),
    ("LIMIT #,# syntax", "42601"),
    ("role name ", "42939"),
    ("CURRENT_ROLE cannot be used", "42939"),
    ("CURRENT_USER cannot be used", "42939"),
    ("SESSION_USER cannot be used", "42939"),
)


@dataclass(frozen=True, slots=True)
class IamGrant:
    """AWS IAM GRANT role TO 'arn', or REVOKE role FROM 'arn'."""

    role: str
    arn: str
    revoke: bool


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
    `lists` are the long lists of constants of which `node` has the first item only.
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
    _group_offset: int = 0  # characters before the group in the script

    def parsed(self) -> ParsedStatement:
        """Return it: it is parsed already. See `dsql.sql.script.Unparsed`."""
        return self

    def move(self, characters: int) -> None:
        """Let the statement be one whose group starts so far into the script."""
        self.offset += characters
        self.lists = tuple(constants.moved(characters) for constants in self.lists)
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
    if _ADDITION.search(text) or len(text) > _CHECKED_CHARACTERS_MAX:
        return next((statement.long_names for statement in parse_script(text)), ())
    _check_chains(text)
    _parse(text, _read_errors)
    script = text.encode()
    return tuple(_long_names(text, script)) if _LONG_NAME.search(script) else ()


def whole(statement: ParsedStatement) -> ParsedStatement:
    """Return a statement of a script with its long lists of constants in its node."""
    text = " " * statement.offset + statement.text
    return _with_lists(text, text.encode())[0]


def _without_lists(text: str, script: bytes) -> list[ParsedStatement]:
    """Return the statements of a script with their long lists taken out.

    There are none if it has no such lists, or something in it needs every constant: errors, for one.
    """
    short, lists = take_out(text)
    if not lists or _ADDITION.search(short):
        return []
    try:
        _check_chains(short)
        statements = _split(_parse(short), text, _characters_of(text, script), [])
    except SqlError:
        return []
    if any(statement.name not in _WITH_TREES for statement in statements):
        return []
    waiting = deque(lists)
    for statement in statements:
        end = statement.offset + len(statement.text)
        while waiting and waiting[0].position <= end:
            statement.lists += (waiting.popleft(),)
    _note_long_names(statements, short)
    return statements


def _with_lists(text: str, script: bytes) -> list[ParsedStatement]:
    _check_chains(text)
    statements = _statements(text, script)
    _note_long_names(statements, text)
    return statements


def _note_long_names(statements: list[ParsedStatement], text: str) -> None:
    script = text.encode()
    if statements and _LONG_NAME.search(script):
        statements[0].long_names = tuple(_long_names(text, script))


def _characters_of(text: str, script: bytes) -> Characters | None:
    return None if len(script) == len(text) else Characters(script)


def _statements(text: str, script: bytes) -> list[ParsedStatement]:
    characters = _characters_of(text, script)
    if _ADDITION.search(text) is None:
        return _split(_parse(text), text, characters, [])
    masked, asynchronous, grants = _take_out_additions(text, script)
    parsed = _split(_parse(masked), text, characters, asynchronous)
    for start, end, grant in grants:
        offset = _before(characters, start)
        slice_ = text[offset : _before(characters, end)]
        parsed.append(ParsedStatement(slice_, offset, grant, "IamGrant", _characters=characters))
    return sorted(parsed, key=lambda statement: statement.offset)


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


def parse_expression(text: str) -> tuple[ParsedStatement, Any]:
    """Return the libpg_query node of a lone expression, with the statement its positions belong to."""
    statement = parse_statement(f"SELECT ({text}\n)")
    return statement, statement.node.target_list[0].res_target.val


def scan(text: str) -> Any:
    """Return libpg_query's tokens of a text. Raises SqlError 42601 for one that cannot be cut."""
    _find_room(text)
    try:
        return postgast.scan(text).tokens
    except postgast.PgQueryError as error:
        raise _error(error.message, _error_position(text, error.cursorpos)) from None


def _read_errors(text: str) -> None:
    _find_room(text)
    result = _native.pg_query_parse_protobuf(text.encode())
    try:
        check_error(result)
    finally:
        _native.pg_query_free_protobuf_parse_result(result)


def _parse(text: str, read: Callable[[str], Any] = postgast.parse) -> Any:
    """Return libpg_query's tree, as `read` makes it. Raises MemoryError where that has no room."""
    _find_room(text)
    try:
        return read(text)
    except postgast.PgQueryError as error:
        position = _error_position(text, error.cursorpos)
        raise _error(error.message, position) from None
    except _DecodeError:  # the tree is deeper than a message may be
        raise stack_depth_error() from None


def _find_room(text: str) -> None:
    """Raise MemoryError if libpg_query might not get what it needs, and end the process."""
    if len(text) <= _SMALL_CHARACTERS:
        return
    size = min(len(text) * _TREE_BYTES_PER_CHARACTER, _TREE_BYTES_MAX)
    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        raise MemoryError from None


def _error(message: str, position: int) -> SqlError:
    for start, sqlstate in _SQLSTATE_BY_MESSAGE:
        if message.startswith(start):
            if sqlstate == "54001":
                return stack_depth_error()
            return SqlError(sqlstate, message, position=position)
    return syntax_error(message, position=position)


def _error_position(text: str, cursor: int) -> int:
    # Unlike node locations, the cursor of an error is counted in characters already, if the
    # text is valid in the library's encoding.
    return min(cursor, len(text) + 1)


def _split(
    result: Any, text: str, characters: Characters | None, asynchronous: list[int]
) -> list[ParsedStatement]:
    statements = []
    for raw in result.stmts:
        start = raw.stmt_location
        end = start + raw.stmt_len if raw.stmt_len else None
        field = raw.stmt.WhichOneof("node")
        node = getattr(raw.stmt, field)
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


def _node_name(message_name: str) -> str:
    return message_name.removesuffix("Stmt")


def _check_chains(text: str) -> None:
    """Refuse left-deep chains that would overflow the C stack of the parser."""
    if has_long_chain(text, scan):
        raise stack_depth_error()


def _take_out_additions(
    text: str, script: bytes
) -> tuple[str, list[int], list[tuple[int, int, IamGrant]]]:
    """Blank DSQL's own syntax; return the text, the places of ASYNC and the grants with their spans."""
    tokens = [
        (token.token, token.start, token.end)
        for token in scan(text)
        if token.token not in (grammar.SQL_COMMENT, grammar.C_COMMENT)
    ]
    masked = bytearray(script)
    asynchronous: list[int] = []
    grants: list[tuple[int, int, IamGrant]] = []
    words = [script[start:end].decode("utf-8", "replace").lower() for _, start, end in tokens]
    for first in _statement_starts(words):
        at = _async_token(words, first)
        if at:
            start, end = tokens[at][1:]
            masked[start:end] = b" " * (end - start)
            asynchronous.append(start)
        elif words[first : first + 2] == ["aws", "iam"]:
            last = _statement_end(words, first)
            start, end = tokens[first][1], tokens[last - 1][2]
            grants.append((start, end, _iam_grant(text, script, tokens[first:last])))
            masked[start:end] = b" " * (end - start)
    return masked.decode(), asynchronous, grants


def _statement_starts(words: list[str]) -> list[int]:
    return [at for at in range(len(words)) if at == 0 or words[at - 1] == ";"]


def _statement_end(words: list[str], first: int) -> int:
    return next((at for at in range(first, len(words)) if words[at] == ";"), len(words))


def _async_token(words: list[str], first: int) -> int:
    """Return the index of the token ASYNC in CREATE [UNIQUE] INDEX ASYNC or ALTER TABLE ASYNC, else 0."""
    head = words[first : first + 4]
    if head[:3] == ["create", "index", "async"]:
        return first + 2
    if head[:4] == ["create", "unique", "index", "async"]:
        return first + 3
    if head[:3] == ["alter", "table", "async"]:
        return first + 2
    return 0


def _iam_grant(text: str, script: bytes, tokens: list[tuple[int, int, int]]) -> IamGrant:
    """Read AWS IAM GRANT role TO 'arn'. PostgreSQL's parser reads the names: as GRANT role TO "arn"."""
    words = [script[start:end].decode("utf-8", "replace") for _, start, end in tokens]
    verb = words[2].lower() if len(words) > 2 else ""
    direction = {"grant": "to", "revoke": "from"}.get(verb)
    shape = ((2, direction), (4, direction))
    for index, expected in shape:
        if index >= len(words):
            raise syntax_error("syntax error at end of input", position=len(text) + 1)
        if expected is None or (index == 4 and words[4].lower() != expected):
            raise _token_error(script, tokens[index])
    if len(words) < 6:
        raise syntax_error("syntax error at end of input", position=len(text) + 1)
    if tokens[5][0] != grammar.SCONST:
        raise _token_error(script, tokens[5])
    if len(words) > 6:
        raise _token_error(script, tokens[6])
    role = _parse(f"GRANT {words[3]} TO x").stmts[0].stmt.grant_role_stmt.granted_roles[0]
    arn = _parse(f"SELECT {words[5]}").stmts[0].stmt.select_stmt.target_list[0].res_target.val
    return IamGrant(role.access_priv.priv_name, arn.a_const.sval.sval, revoke=verb == "revoke")


def _token_error(script: bytes, token: tuple[int, int, int]) -> SqlError:
    word = script[token[1] : token[2]].decode("utf-8", "replace")
    position = len(script[: token[1]].decode("utf-8", "replace")) + 1
    return syntax_error(f'syntax error at or near "{word}"', position=position)
