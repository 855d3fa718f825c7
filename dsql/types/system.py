"""Types of the system catalogs and of the wire: tid, pg_lsn, record, void, pseudo-types."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from dsql.errors import SqlError, unsupported
from dsql.types import registry
from dsql.types.binary_input import wrong_length
from dsql.types.integer import fixed_decoder
from dsql.types.pg_type import define
from dsql.types.record import Record
from dsql.types.size import check_size, join
from dsql.types.string import decode_utf8
from dsql.types.type import Encode, FormatSettings

_TID = struct.Struct("!IH")
_RECORD_QUOTED = re.compile(rb'[\s(),"\\]')


def _bad_text(type_name: str, text: str) -> SqlError:
    return SqlError("22P02", f'invalid input syntax for type {type_name}: "{text}"')


def _decode_tid(data: bytes) -> tuple[int, int]:
    text = decode_utf8(data)
    match = re.fullmatch(r"\((\d+),(\d+)\)", text)
    if not match or int(match[1]) >= 2**32 or int(match[2]) >= 2**16:
        raise _bad_text("tid", text)
    return int(match[1]), int(match[2])


def _decode_tid_binary(data: bytes) -> tuple[int, int]:
    if len(data) != _TID.size:
        raise wrong_length(data, _TID.size)
    block, offset = _TID.unpack(data)
    return block, offset


def _decode_lsn(data: bytes) -> int:
    text = decode_utf8(data)
    match = re.fullmatch(r"([0-9a-fA-F]{1,8})/([0-9a-fA-F]{1,8})", text)
    if not match:
        raise _bad_text("pg_lsn", text)
    return int(match[1], 16) << 32 | int(match[2], 16)


def _refuse_input(name: str) -> Callable[[bytes], Any]:
    def decode(_data: bytes) -> Any:
        raise unsupported(f"cannot accept a value of type {name}")

    return decode


def record_text_encoder(oids: tuple[int, ...], settings: FormatSettings) -> Encode:
    """Return the text encoder of records with these field types: `(1,"a b",)`."""
    encoders = [registry.get(oid).text_encoder(settings) for oid in oids]

    def encode(value: tuple[Any, ...]) -> bytes:
        return b"(" + join(b",", map(_encode_field, encoders, value)) + b")"

    return encode


def _encode_field(encode: Encode, value: Any) -> bytes:
    if value is None:
        return b""
    text = encode(value)
    if not text or _RECORD_QUOTED.search(text):
        check_size(2 * len(text))
        return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'""') + b'"'
    return text


def record_binary_encoder(oids: tuple[int, ...]) -> Encode:
    """Return the binary encoder (record_send) of records with these field types."""
    encoders = [(struct.pack("!I", oid), registry.get(oid).binary_encode) for oid in oids]

    def encode(value: tuple[Any, ...]) -> bytes:
        fields = (field(*encoder, item) for encoder, item in zip(encoders, value, strict=True))
        return struct.pack("!i", len(value)) + join(b"", fields)

    def field(oid: bytes, encode_field: Encode, item: Any) -> bytes:
        data = None if item is None else encode_field(item)
        return oid + struct.pack("!i", -1 if data is None else len(data)) + (data or b"")

    return encode


def _record_encoder(settings: FormatSettings) -> Encode:
    def encode(value: tuple[Any, ...]) -> bytes:
        if isinstance(value, Record) and value.oids:
            return record_text_encoder(value.oids, settings)(value)
        return b"(" + join(b",", (_encode_field(_encode_guessed, item) for item in value)) + b")"

    return encode


def _record_to_binary(value: tuple[Any, ...]) -> bytes:
    if not isinstance(value, Record):
        raise unsupported("binary format of records without known fields is not supported")
    return record_binary_encoder(value.oids)(value)


def _encode_guessed(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"t" if value else b"f"
    return str(value).encode()


define(
    "tid",
    encode=lambda value: b"(%d,%d)" % value,
    decode=_decode_tid,
    binary_encode=lambda value: _TID.pack(*value),
    binary_decode=_decode_tid_binary,
    store_template="list({0})",
    load_template="tuple({0})",
)
define(
    "pg_lsn",
    encode=lambda value: b"%X/%X" % divmod(value, 2**32),
    decode=_decode_lsn,
    binary_encode=struct.Struct("!Q").pack,
    binary_decode=fixed_decoder("!Q"),
)
define(
    "record",
    text_encoder=_record_encoder,
    decode=_refuse_input("record"),
    binary_encode=_record_to_binary,
    binary_decode=_refuse_input("record"),
)
define(
    "void",
    encode=lambda _value: b"",
    decode=lambda _data: "",
    binary_encode=lambda _value: b"",
    binary_decode=lambda _data: "",
)
define(
    "pg_node_tree",
    encode=str.encode,
    decode=decode_utf8,
    binary_encode=str.encode,
    binary_decode=decode_utf8,
)
for _name in (
    "any", "anyelement", "anyarray", "anynonarray", "anyenum", "anycompatible",
    "anycompatiblearray", "anycompatiblenonarray", "anyrange", "anymultirange", "anycompatiblerange",
    "anycompatiblemultirange", "internal", "trigger", "event_trigger",
):  # fmt: skip
    define(
        _name,
        encode=lambda value: str(value).encode(),
        decode=_refuse_input(_name),
        binary_encode=lambda value: str(value).encode(),
        binary_decode=_refuse_input(_name),
    )
