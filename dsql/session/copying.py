"""COPY FROM STDIN and COPY TO STDOUT.

Rows come in through the format's decoder and go through the same compiled INSERT as any other row, so that
defaults, constraints and indexes hold; rows go out through the compiled query. In the postgres profile a
COPY FROM may be larger than a transaction: it is then committed in batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from operator import length_hint
from typing import Any

from dsql.access.authorize import check
from dsql.access.privileges import RELATION_KINDS, Privilege, permission_denied
from dsql.access.requirements import ColumnsHolding
from dsql.catalog.schema import Column, Table
from dsql.catalog.virtual import VirtualTable
from dsql.ddl.naming import KIND_NAMES, find_relation, refuse_kinds, require_table
from dsql.ddl.nodes import inner, option_value, strings
from dsql.errors import SqlError, unsupported
from dsql.limits import TRANSACTION_BYTES_MAX
from dsql.session.block import State
from dsql.session.compiled import CompiledQuery, Decoder, encoders, utf8_decoders
from dsql.session.pipeline import QUERIES, compile_query
from dsql.session.state import SessionState
from dsql.session.statement import UNSETTLED, Settled
from dsql.sql.gate import ParsedStatement, parse_statement
from dsql.types.text_encodings import TextEncoding, encoding_name, find_encoding
from dsql.wire import backend, frontend
from dsql.wire.copy_binary import BinaryDecoder, BinaryEncoder
from dsql.wire.copy_csv import CsvDecoder, CsvEncoder
from dsql.wire.copy_lines import Row
from dsql.wire.copy_options import CopyOptions, parse_options
from dsql.wire.copy_text import TextDecoder, TextEncoder

# What a batch holds, or a chunk more: hence the distance to the limit of a transaction. A commit takes some
# milliseconds for the disks alone, however small it is; a large one keeps those of others waiting.
_BATCH_BYTES = TRANSACTION_BYTES_MAX // 4
_BATCH_ROWS = 5_000
_CHUNK_BYTES = 16 * 1024
_COPY_DATA, _COPY_DONE, _COPY_FAIL, _FLUSH, _SYNC = b"dcfHS"

InDecoder = TextDecoder | CsvDecoder | BinaryDecoder
OutEncoder = TextEncoder | CsvEncoder | BinaryEncoder


class CopyStatement:
    """A parsed COPY; see `dsql.session.statement.Statement`."""

    ends_failed_block = False

    def __init__(self, state: SessionState, parsed: ParsedStatement) -> None:
        self._state = state
        self._parsed = parsed

    def describe(self) -> tuple[tuple[int, ...], None]:
        """COPY has no parameters and no rows in the protocol's sense."""
        return (), None

    def bind(self, message: frontend.Bind) -> CopyPortal:
        """Return its portal."""
        del message
        return CopyPortal(self._state, self._parsed)

    def settled(self) -> Settled:
        """See `Statement`."""
        return UNSETTLED


class CopyPortal:
    """A COPY about to run."""

    description = backend.NO_DATA

    def __init__(self, state: SessionState, parsed: ParsedStatement) -> None:
        self._state = state
        self._parsed = parsed
        self._node = parsed.node

    def execute(self, row_limit: int) -> None:
        """Run the whole COPY; a row limit means nothing to it."""
        del row_limit
        node, state = self._node, self._state
        state.context.start_statement()
        if node.filename or node.is_program:
            raise _no_files(node)
        pairs = [(o.def_elem.defname, option_value(o.def_elem)) for o in node.options]
        pairs = [
            (name, "*" if name.startswith("force_") and not isinstance(value, list) else value)
            for name, value in pairs
        ]
        options = parse_options(pairs, reading=node.is_from)
        encoding = _encoding_of(options, state)
        copy = self._copy_in if node.is_from else self._copy_out
        count = copy(options, encoding)
        state.out += backend.command_complete(f"COPY {count}")

    def epilogue(self) -> None:
        """See `dsql.session.portal.Portal`: it would run again."""

    # ------------------------------------------------------------ in

    def _copy_in(self, options: CopyOptions, encoding: TextEncoding | None) -> int:
        state, node = self._state, self._node
        if node.HasField("where_clause"):
            raise unsupported("COPY FROM with WHERE is not supported")
        refuse_kinds(state.context, node.relation, "open")
        found = find_relation(state.context, node.relation)
        if isinstance(found, VirtualTable):
            raise permission_denied(RELATION_KINDS[found.kind], found.name)
        if found is not None and found.kind != "r":
            _check_held(found, Privilege.INSERT, strings(node.attlist), state)
            hint = "To enable copying to a view, provide an INSTEAD OF INSERT trigger."
            raise _not_copied("to", found, hint)
        table = require_table(state.context, node.relation)
        columns = _target_columns(table, strings(node.attlist))
        names = [column.name for column in columns]
        _check_forced(options, table, names)
        query = self._insert(table, columns)
        state.block.use(query)
        code = 1 if options.format == "binary" else 0
        decoders = query.shape((code,), ()).decoders
        if not code:
            decoders = utf8_decoders(query.parameter_types, code, state.settings.formats)
        state.out += backend.copy_in_response(code, [code] * len(columns))
        return _Loader(state, table.name, names, query, decoders, encoding).load(
            _decoder(options, table.name, names)
        )

    def _insert(self, table: Table, columns: list[Column]) -> CompiledQuery:
        names = ", ".join(_quoted(column.name) for column in columns)
        values = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
        target = f"{_quoted(table.schema)}.{_quoted(table.name)}"
        override = " OVERRIDING SYSTEM VALUE" if any(c.identity == "a" for c in columns) else ""
        parsed = parse_statement(f"INSERT INTO {target} ({names}){override} VALUES ({values})")
        types = tuple(column.type_oid for column in columns)
        return self._compile(parsed, types)

    def _compile(self, parsed: ParsedStatement, types: tuple[int, ...] = ()) -> CompiledQuery:
        state = self._state
        return compile_query(
            parsed, types, state.context.standpoint, state.settings, state.environment.plans
        )

    # ------------------------------------------------------------ out

    def _copy_out(self, options: CopyOptions, encoding: TextEncoding | None) -> int:
        state = self._state
        query = self._compile(self._source())
        assert query.columns is not None, "a SELECT, or with RETURNING"
        names = [column.name for column in query.columns]
        code = 1 if options.format == "binary" else 0
        state.out += backend.copy_out_response(code, [code] * len(names))
        formats = state.settings.formats
        if not code:
            formats = replace(formats, client_encoding="")  # whole lines are converted
        encode = encoders(query.columns, [code] * len(names), formats)
        encoder = _encoder(options, names)
        state.block.use(query)
        count = 0
        # PostgreSQL sends the binary header with the first row, and drivers count on it.
        start = encoder.start()
        if encoding is not None:
            start = encoding.from_utf8(start)
        if start and not code:
            backend.copy_data(state.out, start)
            start = b""
        for row in query.program.rows(state.context, ()):
            fields = [
                None if value is None else one(value)
                for value, one in zip(row, encode, strict=True)
            ]
            line = encoder.row(fields)
            backend.copy_data(state.out, start + (encoding.from_utf8(line) if encoding else line))
            start = b""
            state.flush_rows(state.out)
            count += 1
        state.constraints.after_statement(query)
        if end := start + encoder.finish():
            backend.copy_data(state.out, end)
        state.out += backend.COPY_DONE
        return count

    def _source(self) -> ParsedStatement:
        """Return the query whose rows go out."""
        node, parsed = self._node, self._parsed
        if node.HasField("query"):
            query = inner(node.query)
            name = type(query).DESCRIPTOR.name.removesuffix("Stmt")
            if name == "Merge":
                raise unsupported("MERGE not supported in COPY")
            if name not in QUERIES:
                raise unsupported(f"unsupported statement: {name}")
            if name != "Select" and not query.HasField("returning_clause"):
                raise unsupported("COPY query must have a RETURNING clause")
            return replace(parsed, node=query, name=name)
        context, names = self._state.context, strings(node.attlist)
        refuse_kinds(context, node.relation, "open")
        table = find_relation(context, node.relation)
        if isinstance(table, VirtualTable) and table.kind == "r":
            names = names or [name for name, _ in table.columns]
        else:
            if table is not None and table.kind != "r":
                _check_held(table, Privilege.SELECT, names, self._state)
                raise _not_copied("from", table, "Try the COPY (SELECT ...) TO variant.")
            table = require_table(context, node.relation)
            names = [column.name for column in _target_columns(table, names)]
        listed = ", ".join(map(_quoted, names))
        return parse_statement(
            f"SELECT {listed} FROM {_quoted(table.schema)}.{_quoted(table.name)}"
        )


class _Loader:
    """Feeds what the client sends to the decoder, and its rows to the INSERT."""

    def __init__(
        self,
        state: SessionState,
        table: str,
        columns: list[str],
        query: CompiledQuery,
        decoders: tuple[Decoder, ...],
        encoding: TextEncoding | None,
    ) -> None:
        self._state = state
        self._table = table
        self._columns = columns
        self._query = query
        self._decoders = decoders
        self._encoding = encoding
        self._in_batches = state.settings.profile == "postgres"
        self._warned = False
        self._count = 0

    def load(self, decoder: InDecoder) -> int:
        """Read to CopyDone and return the number of rows."""
        block = self._state.block
        committed, size_before = 0, block.transaction.size
        chunks = _chunks(self._state)
        if self._encoding is not None:
            chunks = self._in_utf8(chunks, self._encoding)
        for chunk in chunks:
            self._insert(decoder.feed(chunk), decoder)
            if self._in_batches and (
                self._count - committed >= _BATCH_ROWS
                or block.transaction.size - size_before >= _BATCH_BYTES
            ):
                committed, size_before = self._count, 0
                self._commit_batch()
        self._insert(decoder.finish(), decoder)
        self._state.constraints.after_statement(self._query)
        return self._count

    def _in_utf8(self, chunks: Iterator[bytes], encoding: TextEncoding) -> Iterator[bytes]:
        """Yield the same text in UTF-8, whole characters of it."""
        rest, line = b"", 1
        for chunk in chunks:
            data = rest + chunk
            size = encoding.whole(data)
            rest = data[size:]
            yield self._converted(data[:size], encoding, line)
            line += data.count(b"\n", 0, size)
        if rest:
            yield self._converted(rest, encoding, line)

    def _converted(self, data: bytes, encoding: TextEncoding, line: int) -> bytes:
        try:
            return encoding.to_utf8(data)
        except SqlError as error:
            for text in data.splitlines(keepends=True):
                with suppress(SqlError):
                    encoding.to_utf8(text)
                    line += 1
                    continue
                break
            error.where = f"COPY {self._table}, line {line}"
            raise

    def _commit_batch(self) -> None:
        state = self._state
        if state.block.state is State.OPEN and not self._warned:
            self._warned = True
            message = (
                "COPY commits its rows in batches, and with them what came before in this block"
            )
            detail = "It is larger than a transaction can be. A ROLLBACK does not undo it."
            state.notice("WARNING", "01000", message, detail=detail)
        state.constraints.after_statement(self._query)
        state.block.renew()
        state.block.use(self._query)

    def _insert(self, rows: list[Row], decoder: InDecoder) -> None:
        context, remaining = self._state.context, iter(rows)
        try:
            if not self._insert_new(rows):
                self._query.program.load(context, remaining, self._decoders, self._count)
        except Exception as error:
            left = length_hint(remaining)
            line = decoder.line_number - left
            self._check_fields(rows[len(rows) - left - 1], line)
            if isinstance(error, SqlError):
                error.where = error.where or f"COPY {self._table}, line {line}"
            raise
        context.check_cancel()
        self._count += len(rows)

    def _insert_new(self, rows: list[Row]) -> bool:
        """Insert rows if all is well with them; return False if not, for `load` to find out what."""
        program, context = self._query.program, self._state.context
        try:
            return program.load_new(context, rows, self._decoders, self._count)
        except (SqlError, UnicodeDecodeError):
            return False

    def _check_fields(self, row: Row, line: int) -> None:
        """Decode a row once more, to raise the error of a field with the name of its column."""
        for column, field, decode in zip(self._columns, row, self._decoders, strict=True):
            try:
                if field is not None:
                    decode(field)
            except (SqlError, UnicodeDecodeError) as error:
                shown = (field or b"").decode(errors="replace")
                where = f'COPY {self._table}, line {line}, column {column}: "{shown}"'
                if isinstance(error, UnicodeDecodeError):
                    message = 'invalid byte sequence for encoding "UTF8"'
                    raise SqlError("22021", message, where=where) from None
                error.where = where
                raise


def _encoding_of(options: CopyOptions, state: SessionState) -> TextEncoding | None:
    """Return the encoding of the text to copy, None for UTF-8 or no text. Raises SqlError 22023, 0A000."""
    encoding = state.settings.encoding
    if options.encoding is not None:
        name = encoding_name(options.encoding)
        if name is None:
            message = 'argument to option "encoding" must be a valid encoding name'
            raise SqlError("22023", message)
        encoding = find_encoding(name)
    return None if options.format == "binary" else encoding


def _chunks(state: SessionState) -> Iterator[bytes]:
    """Yield the data of CopyData messages until CopyDone: of all at once that are there."""
    state.send()
    while True:
        kind, body = state.read_message()
        if kind == _COPY_DATA:
            yield _with_following(state, body)
        elif kind == _COPY_DONE:
            return
        elif kind == _COPY_FAIL:
            encoding = state.settings.encoding
            reason = frontend.parse_copy_fail(encoding.to_utf8(body) if encoding else body)
            raise SqlError("57014", f"COPY from stdin failed: {reason}")
        elif kind not in (_FLUSH, _SYNC):
            message = f"unexpected message type 0x{kind:02X} during COPY from stdin"
            raise SqlError("08P01", message)


def _with_following(state: SessionState, body: bytes) -> bytes:
    """Return the data of a message and of those behind it; psql and pgbench send one for each line."""
    pending, bodies, size = state.pending, [body], len(body)
    while pending and pending[0][0] == _COPY_DATA and size < _CHUNK_BYTES:
        body = pending.popleft()[1]
        bodies.append(body)
        size += len(body)
    return b"".join(bodies)


def _target_columns(table: Table, names: list[str]) -> list[Column]:
    """Return the columns named, or all that can be written."""
    if not names:
        return [column for column in table.live_columns if not column.generated]
    by_name = {column.name: column for column in table.live_columns}
    chosen: list[Column] = []
    for name in names:
        column = by_name.get(name)
        if column is None:
            message = f'column "{name}" of relation "{table.name}" does not exist'
            raise SqlError("42703", message)
        if column in chosen:
            raise SqlError("42701", f'column "{name}" specified more than once')
        if column.generated:
            detail = "Generated columns cannot be used in COPY."
            raise SqlError("42P10", f'column "{name}" is a generated column', detail=detail)
        chosen.append(column)
    return chosen


def _check_forced(options: CopyOptions, table: Table, names: list[str]) -> None:
    for words, forced in (
        ("FORCE_NOT_NULL", options.force_not_null),
        ("FORCE_NULL", options.force_null),
    ):
        for name in forced or ():
            if name not in names:
                raise SqlError("42P10", f'{words} column "{name}" not referenced by COPY')
    del table


def _check_held(
    found: Table | VirtualTable, privilege: Privilege, names: list[str], state: SessionState
) -> None:
    """Raise SqlError 42501 for who may not read or fill these columns (none: all), before other faults."""
    if isinstance(found, Table):
        columns = [one.number for one in found.live_columns if not names or one.name in names]
        check(ColumnsHolding(found, privilege, tuple(columns)), state.context.authority)


def _not_copied(direction: str, found: Table | VirtualTable, hint: str) -> SqlError:
    """Return the error (42809) of a view or a sequence; the hint is about views."""
    word = KIND_NAMES[found.kind]
    message = f'cannot copy {direction} {word} "{found.name}"'
    has_hint = found.kind == "v" or (found.kind == "m" and direction == "from")
    return SqlError("42809", message, hint=hint if has_hint else "")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _no_files(node: Any) -> SqlError:
    action, role = ("from a file", "read") if node.is_from else ("to a file", "write")
    role = f"{role}_server_files"
    if node.is_program:
        action, role = "to or from an external program", "execute_server_program"
    return SqlError(
        "42501",
        f"permission denied to COPY {action}",
        detail=f'Only roles with privileges of the "pg_{role}" role may COPY {action}.',
        hint="Anyone can COPY to stdout or from stdin. psql's \\copy command also works for anyone.",
    )


def _decoder(options: CopyOptions, table: str, columns: list[str]) -> InDecoder:
    if options.format == "binary":
        return BinaryDecoder(table, columns)
    if options.format == "csv":
        return CsvDecoder(options, table, columns)
    return TextDecoder(options, table, columns)


def _encoder(options: CopyOptions, columns: list[str]) -> OutEncoder:
    if options.format == "binary":
        return BinaryEncoder()
    if options.format == "csv":
        return CsvEncoder(options, columns)
    return TextEncoder(options, columns)
