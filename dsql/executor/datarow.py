"""Code that writes a row straight into the wire's DataRow message.

    b"D" | int32 length, itself included | int16 columns | per column int32 length, -1 for NULL | bytes

The message's head, the column count and the first column's length are one `struct.pack`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from dsql.executor.expressions import Code
from dsql.executor.generator import Generator
from dsql.types import registry

NAMES = {
    "pack_head": struct.Struct(">cihi").pack,  # "D", length, columns, first column's length
    "pack_empty": struct.Struct(">cih").pack,
    "pack_length": struct.Struct(">i").pack,
}


def write_row(
    generator: Generator, codes: Sequence[Code], type_oids: Sequence[int], formats: Sequence[int]
) -> None:
    """Write the statements that append one DataRow to `out`."""
    source = generator.source
    if not codes:
        source.line('out += pack_empty(b"D", 6, 0)')
        return
    fields, lengths = [], []
    for code, type_oid, binary in zip(codes, type_oids, formats, strict=True):
        field, length = source.fresh("f"), source.fresh("n")
        _encode(generator, code, type_oid, field, length, binary=bool(binary))
        fields.append(field)
        lengths.append(length)
    total = " + ".join([str(6 + 4 * len(codes)), *(f"len({field})" for field in fields)])
    parts = [f'pack_head(b"D", {total}, {len(codes)}, {lengths[0]})', fields[0]]
    for field, length in zip(fields[1:], lengths[1:], strict=True):
        parts += [f"pack_length({length})", field]
    if len(parts) == 2:
        source.line(f"out += {parts[0]} + {parts[1]}")
    else:
        source.line(f'out += b"".join(({", ".join(parts)}))')


def _encode(
    generator: Generator, code: Code, type_oid: int, field: str, length: str, *, binary: bool
) -> None:
    """Write the assignment of a column's bytes and length."""
    source = generator.source
    name = code.text
    if not code.atom and code.nullable:
        name = source.fresh("v")
        source.line(f"{name} = {code.text}")
    encoded = _encoder(generator, type_oid, binary=binary).format(name)
    if not code.nullable:
        source.line(f"{field} = {encoded}; {length} = len({field})")
        return
    with source.block(f"if {name} is None:"):
        source.line(f'{field} = b""; {length} = -1')
    with source.block("else:"):
        source.line(f"{field} = {encoded}; {length} = len({field})")


def _encoder(generator: Generator, type_oid: int, *, binary: bool) -> str:
    """Return the template of a type's bytes in a format."""
    known = registry.get(type_oid)
    if binary:
        return f"{generator.source.constant(known.binary_encode, 'binary')}({{0}})"
    if known.text_template:
        return known.text_template
    return f"{generator.text_encoder(type_oid)}({{0}})"
