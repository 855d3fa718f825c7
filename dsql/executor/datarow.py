"""Code that writes a row straight into the wire's DataRow message.

    b"D" | int32 length, itself included | int16 columns | per column int32 length, -1 for NULL | bytes

Lengths are small as a rule: their four bytes come from a table, which is faster than `struct.pack`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from dsql.executor.code import Code
from dsql.executor.generator import Generator
from dsql.types import registry
from dsql.types.size import check_size

FLUSH_BYTES = 256 * 1024  # what is gathered before it is sent
_TABLED_LENGTHS = 1_024
_pack = struct.Struct(">i").pack


class _Lengths(dict[int, bytes]):
    """The four bytes of an int32; those of large ones are made anew each time.

    Raises SqlError 54000 for a message larger than `MADE_VALUE_BYTES_MAX`.
    """

    def __missing__(self, length: int) -> bytes:
        check_size(length)
        return _pack(length)


NAMES = {"LENGTHS": _Lengths((length, _pack(length)) for length in range(_TABLED_LENGTHS))}
_COLUMNS_MAX = 100  # in one function
_Column = tuple[Code, int, int]  # with its type and format
_NULL = r'b"\xff\xff\xff\xff"'


def write_row(
    generator: Generator, codes: Sequence[Code], type_oids: Sequence[int], formats: Sequence[int]
) -> None:
    """Write the statements that append one DataRow to `out`."""
    source = generator.source
    columns = [*zip(codes, type_oids, formats, strict=True)]
    if len(columns) <= _COLUMNS_MAX:
        lengths, fields = _write_fields(generator, columns)
        total = " + ".join([str(6 + 4 * len(codes)), *(f"len({field})" for field in fields)])
        parts = [part for pair in zip(lengths, fields, strict=True) for part in pair]
    else:
        row = source.fresh("row")
        starts = range(0, len(columns), _COLUMNS_MAX)
        some = [
            _fields_function(generator, columns[start : start + _COLUMNS_MAX]) for start in starts
        ]
        source.line(f"{row} = ({', '.join(f'*{call}' for call in some)},)")
        total, parts = f"6 + sum(map(len, {row}))", [f"*{row}"]
    count = len(codes).to_bytes(2, "big")
    head = ['b"D"', f"LENGTHS[{total}]", repr(count)]
    source.line(f'out += b"".join(({", ".join([*head, *parts])}))')
    if source.function.loops:
        source.line(f"if len(out) > {FLUSH_BYTES}: context.flush(out)")


def _write_fields(generator: Generator, columns: Sequence[_Column]) -> tuple[list[str], list[str]]:
    """Write the assignments of columns' lengths and bytes; return their names."""
    source = generator.source
    fields = [source.fresh("f") for _ in columns]
    lengths = [source.fresh("n") for _ in columns]
    for (code, type_oid, binary), field, length in zip(columns, fields, lengths, strict=True):
        encoder = _encoder(generator, type_oid, binary=bool(binary))
        _encode(generator, code, encoder, field, length)
    return lengths, fields


def _fields_function(generator: Generator, columns: Sequence[_Column]) -> str:
    """Write a function that returns columns' lengths and bytes in turn; return its call."""
    source = generator.source
    name = source.fresh("columns")
    with source.nested(name):
        pairs = zip(*_write_fields(generator, columns), strict=True)
        source.line(f"return ({', '.join(part for pair in pairs for part in pair)})")
    return source.call(name)


def _encode(generator: Generator, code: Code, encoder: str, field: str, length: str) -> None:
    """Write the assignment of a column's bytes and of its length's."""
    source = generator.source
    name = code.text
    if not code.atom:
        name = source.fresh("v")
        source.line(f"{name} = {code.text}")
    encoded = f"{field} = {encoder.format(name)}; {length} = LENGTHS[len({field})]"
    if not code.nullable:
        source.line(encoded)
        return
    with source.block(f"if {name} is None:"):
        source.line(f'{field} = b""; {length} = {_NULL}')
    with source.block("else:"):
        source.line(encoded)


def _encoder(generator: Generator, type_oid: int, *, binary: bool) -> str:
    """Return the template of a type's bytes in a format."""
    known = registry.get(type_oid)
    if binary:
        return f"{generator.source.constant(known.binary_encode, 'binary')}({{0}})"
    if known.text_template:
        return known.text_template
    return f"{generator.text_encoder(type_oid)}({{0}})"
