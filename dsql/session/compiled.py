"""A compiled query with everything that a round trip would otherwise compute again.

For each combination of parameter and result formats that a client binds with, a `Shape` holds the decoders
of the parameters and the finished RowDescription, so that Bind decodes, Describe copies, and Execute calls
one generated function.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from dsql.access.authorize import Authorized
from dsql.access.privileges import Privilege
from dsql.access.requirements import RelationUse
from dsql.encoding.keyspace import role_version_key, table_version_key
from dsql.errors import SqlError
from dsql.executor.compiler import CompiledProgram, prepare
from dsql.executor.program import Emit, OutputColumn
from dsql.planner.row_counts import RowCounts
from dsql.session import conversion
from dsql.sql.bound_query import BoundStatement
from dsql.types import registry
from dsql.types.binary_input import INCORRECT_BINARY
from dsql.types.text_encodings import find_encoding
from dsql.types.type import Encode, FormatSettings
from dsql.wire import backend

_TEXT, _BINARY = 0, 1
_TAGS_MAX = 1_000

Decoder = Callable[[bytes], Any]


class Shape:
    """How one query is bound: see the module."""

    __slots__ = ("decoders", "description", "emit", "formats")

    def __init__(
        self, decoders: tuple[Decoder, ...], formats: tuple[int, ...], description: bytes
    ) -> None:
        self.decoders = decoders
        self.formats = formats
        self.description = description
        self.emit: Emit | None = None  # compiled by the first Execute


class DescribedQuery:
    """What a client may know of a query whether it may run it or not.

    PostgreSQL parses and describes every query for everybody; rights are asked for when one starts to run.
    """

    __slots__ = ("_formats", "_shapes", "columns", "parameter_types", "returns_rows", "writes")

    def __init__(self, program: CompiledProgram, settings: FormatSettings) -> None:
        self.writes = program.writes
        self.parameter_types = program.parameter_types
        self.returns_rows = bool(program.columns) or program.tag == "SELECT"
        # None for a statement that returns no rows.
        self.columns: tuple[OutputColumn, ...] | None = (
            program.columns if self.returns_rows else None
        )
        self._formats = settings
        self._shapes: dict[tuple[tuple[int, ...], tuple[int, ...]], Shape] = {}

    def shape(self, formats: tuple[int, ...], result_formats: tuple[int, ...]) -> Shape:
        """Return the shape for the formats of a Bind message. Raises SqlError 08P01, 22023."""
        shape = self._shapes.get((formats, result_formats))
        if shape is None:
            shape = self._make_shape(formats, result_formats)
            self._shapes[formats, result_formats] = shape
        return shape

    def _make_shape(self, formats: tuple[int, ...], result_formats: tuple[int, ...]) -> Shape:
        codes = expand_parameter_formats(formats, len(self.parameter_types))
        decoders = tuple(
            decoder(oid, code, self._formats)
            for oid, code in zip(self.parameter_types, codes, strict=True)
        )
        columns = self.columns
        if columns is None:
            return Shape(decoders, (), backend.NO_DATA)
        chosen = expand_result_formats(result_formats, len(columns))
        return Shape(decoders, chosen, describe_columns(columns, chosen, self._formats))


class CompiledQuery(DescribedQuery):
    """A query that may run: its program, and what the session needs to know about it.

    `version_keys` are checked at commit: those of its tables, and of the roles whose memberships allow it
    to `role`. It was compiled from `text`, with its parameters' types as they were `declared`. `watches`:
    something follows for foreign keys when it has run (`dsql.session.constraints`). It `writes_shared`
    what others may see: not temporary tables alone. `locks`: what it is called if it locks rows of such
    tables ("SELECT FOR UPDATE"), else empty. `is_outdated`: its tables have many more rows now, or
    far fewer, than it was planned for. `early`: see `dsql.planner.plan.Plan`.

    Raises the SqlError of a constant that cannot be computed, as one that comes when the query starts.
    """

    __slots__ = (
        "_tags",
        "declared",
        "early",
        "is_outdated",
        "locks",
        "program",
        "role",
        "text",
        "version_keys",
        "watches",
        "writes_shared",
    )

    def __init__(
        self,
        statement: Authorized[BoundStatement],
        settings: FormatSettings,
        text: str,
        declared: tuple[int, ...] | None,
        counts: RowCounts | None = None,
    ) -> None:
        bound = statement.subject
        self.text = text
        self.declared = declared
        self.program = prepare(bound, counts)
        if self.program.plan.fault is not None:
            raise self.program.plan.fault
        self.is_outdated = False
        self.early = self.program.plan.early
        self.watches = self.program.watches
        super().__init__(self.program, settings)
        self.writes_shared = self.writes and _writes_shared(bound)
        self.locks = _locking(bound)
        self.role = statement.role
        self.version_keys = (
            *map(table_version_key, bound.tables),
            *map(role_version_key, statement.relied_on),
        )
        self._tags: dict[int, bytes] = {}

    def formats_of(self, emit: Emit) -> tuple[int, ...] | None:
        """Return the result formats that `emitter` has returned this for; None: it has not."""
        found = (shape.formats for shape in self._shapes.values() if shape.emit is emit)
        return next(found, None)

    def emitter(self, shape: Shape) -> Emit:
        """Return the function that appends the rows in a shape's formats."""
        emit = shape.emit
        if emit is None:
            emit = shape.emit = self._make_emitter(shape.formats)
        return emit

    def _make_emitter(self, formats: tuple[int, ...]) -> Emit:
        if self._formats.client_encoding and self.columns:
            encode = encoders(self.columns, formats, self._formats)
            return conversion.emitter(self.program, encode)
        return self.program.emitter(formats)

    def complete(self, count: int) -> bytes:
        """Return the CommandComplete for so many rows."""
        message = self._tags.get(count)
        if message is None:
            message = backend.command_complete(f"{self.program.tag} {count}")
            if len(self._tags) < _TAGS_MAX:
                self._tags[count] = message
        return message


def _locking(bound: BoundStatement) -> str:
    marks = getattr(bound.statement, "row_marks", ())
    return f"SELECT FOR {marks[0][1].upper()}" if marks and _writes_shared(bound) else ""


def _writes_shared(bound: BoundStatement) -> bool:
    changes = Privilege.INSERT | Privilege.UPDATE | Privilege.DELETE
    uses = [use for use in bound.required if isinstance(use, RelationUse)]
    return not all(use.relation.is_temporary for use in uses if use.privileges & changes)


def describe_denied(bound: BoundStatement, settings: FormatSettings) -> DescribedQuery:
    """Return what is known of a query that may not run."""
    return DescribedQuery(prepare(bound), settings)


def expand_parameter_formats(formats: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return one format code per parameter."""
    if len(formats) > 1 and len(formats) != count:
        raise SqlError(
            "08P01",
            f"bind message has {len(formats)} parameter formats but {count} parameters",
        )
    return _expand(formats, count)


def expand_result_formats(formats: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Return one format code per result column."""
    if len(formats) > 1 and len(formats) != count:
        raise SqlError(
            "08P01", f"bind message has {len(formats)} result formats but query has {count} columns"
        )
    return _expand(formats, count)


def _expand(formats: tuple[int, ...], count: int) -> tuple[int, ...]:
    for code in formats:
        if code not in (_TEXT, _BINARY):
            raise SqlError("22023", f"unsupported format code: {code}")
    if not formats:
        return (_TEXT,) * count
    return formats * count if len(formats) == 1 else formats


def decoder(oid: int, code: int, settings: FormatSettings) -> Decoder:
    """Return the function from a parameter's bytes to its runtime value."""
    found = registry.get(oid)
    decode = found.binary_decode if code == _BINARY else found.text_decoder(settings)
    encoding = find_encoding(settings.client_encoding)
    return decode if encoding is None else conversion.reading(encoding, oid, code, decode)


def utf8_decoders(types: Sequence[int], code: int, settings: FormatSettings) -> tuple[Decoder, ...]:
    """Return decoders of values that are no client's, or were converted as a whole."""
    settings = replace(settings, client_encoding="")
    return tuple(decoder(oid, code, settings) for oid in types)


def encoders(
    columns: Sequence[OutputColumn], codes: Sequence[int], settings: FormatSettings
) -> list[Encode]:
    """Return a function from runtime value to bytes for each column."""
    types = [column.type_oid for column in columns]
    return [encoder(oid, code, settings) for oid, code in zip(types, codes, strict=True)]


def encoder(oid: int, code: int, settings: FormatSettings) -> Encode:
    """Return the function from a value to the bytes that a client gets."""
    found = registry.get(oid)
    encode = found.binary_encode if code == _BINARY else found.text_encoder(settings)
    encoding = find_encoding(settings.client_encoding)
    return encode if encoding is None else conversion.writing(encoding, oid, code, encode)


def describe_columns(
    columns: Sequence[OutputColumn], codes: Sequence[int], settings: FormatSettings
) -> bytes:
    """Return the RowDescription of columns. Raises SqlError 22P05."""
    sizes = [registry.get(column.type_oid).size for column in columns]
    encoding = find_encoding(settings.client_encoding)
    encode = backend.encode_text if encoding is None else encoding.encoded
    return backend.row_description(columns, sizes, codes, encode)


def decode_parameters(
    decoders: Sequence[Decoder], values: Sequence[bytes | None], portal: bytes
) -> list[Any]:
    """Decode the values of a Bind message. Raises what decoders raise, with the parameter's place."""
    name = f'portal "{portal.decode(errors="replace")}"' if portal else "unnamed portal"
    return decode_values(decoders, values, "bind parameter", f"{name} parameter $")


def decode_values(
    decoders: Sequence[Decoder], values: Sequence[bytes | None], noun: str, where: str
) -> list[Any]:
    """Decode values that a client sent. Errors name a value by `noun`, and in their context by `where`."""
    index = 0
    parameters = []
    try:
        for decode in decoders:
            value = values[index]
            parameters.append(None if value is None else decode(value))
            index += 1
    except SqlError as error:
        if error.message == INCORRECT_BINARY:
            error.message = f"{INCORRECT_BINARY} in {noun} {index + 1}"
        if where:
            error.where = error.where or f"{where}{index + 1}"
        raise
    except UnicodeDecodeError as error:
        shown = " ".join(f"0x{byte:02x}" for byte in error.object[error.start : error.start + 1])
        message = f'invalid byte sequence for encoding "UTF8": {shown}'
        raise SqlError("22021", message) from None
    except (struct.error, ValueError, IndexError):
        message = f"{INCORRECT_BINARY} in {noun} {index + 1}"
        raise SqlError("22P03", message, where=where and f"{where}{index + 1}") from None
    return parameters
