"""bytea functions, hashes, encode and decode, character encodings."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.text import md5, overlay, substring
from dsql.types.binary import decode_bytea, decode_hex
from dsql.types.pieces import PIECE, in_pieces, pieces
from dsql.types.size import check_size
from dsql.types.string import decode_utf8
from dsql.types.text_encodings import TextEncoding, encoding_name, find_encoding

_NO_SPACES = str.maketrans("", "", " \t\n\r")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=]")
_BASE64_LINE_BYTES = 57  # 76 characters
_ENCODED_GROWTH = {"hex": 2, "base64": 2, "escape": 4}


def _index_error(index: int, last: int) -> SqlError:
    return SqlError("2202E", f"index {index} out of valid range, 0..{last}")


def get_byte(value: bytes, at: int) -> int:
    """Return byte number `at` (from 0). Raises SqlError 2202E."""
    if not 0 <= at < len(value):
        raise _index_error(at, len(value) - 1)
    return value[at]


def set_byte(value: bytes, at: int, new: int) -> bytes:
    """Return the value with one byte replaced. Raises SqlError 2202E."""
    get_byte(value, at)
    return value[:at] + bytes([new & 255]) + value[at + 1 :]


def get_bit(value: bytes, at: int) -> int:
    """Return bit number `at`, least significant first in each byte. Raises SqlError 2202E."""
    if not 0 <= at < 8 * len(value):
        raise _index_error(at, 8 * len(value) - 1)
    return value[at // 8] >> at % 8 & 1


def set_bit(value: bytes, at: int, new: int) -> bytes:
    """Return the value with one bit set or cleared. Raises SqlError 2202E or 22023."""
    byte = value[at // 8] if get_bit(value, at) in (0, 1) else 0
    if new not in (0, 1):
        raise SqlError("22023", "new bit must be 0 or 1")
    mask = 1 << at % 8
    return set_byte(value, at // 8, byte | mask if new else byte & ~mask)


def _escaped(byte: int) -> bytes:
    if byte == 0x5C:
        return b"\\\\"
    return b"\\%03o" % byte if byte == 0 or byte > 0x7F else bytes([byte])


# What a byte becomes, character by character. Unlike bytea's escape format, only zero, high bytes and the
# backslash are escaped.
_NOTHING = b"\xff"
_SPELLED = [_escaped(byte).ljust(4, _NOTHING) for byte in range(0x100)]
_ESCAPES = [bytes(spelled[place] for spelled in _SPELLED) for place in range(4)]


def _to_escape(piece: bytes) -> bytes:
    done = bytearray(4 * len(piece))
    for place, table in enumerate(_ESCAPES):
        done[place::4] = piece.translate(table)
    return bytes(done.translate(None, _NOTHING))


def encode(value: bytes, form: str) -> str:
    """Return bytes as text in hex, base64 (lines of 76) or escape. Raises SqlError 22023."""
    check_size(len(value) * _ENCODED_GROWTH.get(form.lower(), 1), value)
    match form.lower():
        case "hex":
            return "".join([piece.hex() for piece in pieces(value)])
        case "base64":
            return _to_base64(value)
        case "escape":
            return "".join([_to_escape(piece).decode() for piece in pieces(value)])
    raise SqlError("22023", f'unrecognized encoding: "{form}"')


def decode(text: str, form: str) -> bytes:
    """Return the bytes that a text spells. Raises SqlError 22023 or 22P02."""
    match form.lower():
        case "hex":
            return decode_hex(_without_spaces(text))
        case "base64":
            return _from_base64(text)
        case "escape":
            return decode_bytea(text.encode()) if not text.startswith("\\x") else text.encode()
    raise SqlError("22023", f'unrecognized encoding: "{form}"')


def _to_base64(value: bytes) -> str:
    parts = [
        b"".join(map(binascii.b2a_base64, pieces(several, _BASE64_LINE_BYTES))).decode()
        for several in pieces(value, max(PIECE // _BASE64_LINE_BYTES, 1) * _BASE64_LINE_BYTES)
    ]
    parts[-1:] = [last[:-1] for last in parts[-1:]]  # no line feed at the end
    return "".join(parts)


def _without_spaces(text: str) -> str:
    return in_pieces(lambda piece: piece.translate(_NO_SPACES), text)


def _from_base64(text: str) -> bytes:
    data = _without_spaces(text)
    for piece in pieces(data):
        if bad := _NOT_BASE64.search(piece):
            message = f'invalid symbol "{bad[0]}" found while decoding base64 sequence'
            raise SqlError("22023", message)
    try:
        return b"".join(_base64_decoded(data))
    except binascii.Error:
        raise SqlError(
            "22023",
            "invalid base64 end sequence",
            hint="Input data is missing padding, is truncated, or is otherwise corrupted.",
        ) from None


def _base64_decoded(data: str) -> Iterator[bytes]:
    """Yield the bytes in parts. Raises binascii.Error."""
    digits = data.rstrip("=")
    if "=" in digits:
        raise binascii.Error
    last = len(digits) // PIECE * PIECE
    for piece in pieces(digits[:last]):
        yield base64.b64decode(piece, validate=True)
    yield base64.b64decode(data[last:], validate=True)


def _encoding(name: str, role: str) -> TextEncoding | None:
    known = encoding_name(name)
    if known is None:
        raise SqlError("22023", f'invalid {role} encoding name "{name}"')
    return find_encoding(known)


def convert_from(value: bytes, name: str) -> str:
    """Read bytes in an encoding. Raises SqlError 22021, 22023, 22P05, or 0A000."""
    encoding = _encoding(name, "source")
    return decode_utf8(value if encoding is None else encoding.to_utf8(value))


def convert_to(text: str, name: str) -> bytes:
    """Write text in an encoding. Raises SqlError 22023, 22P05, or 0A000."""
    encoding = _encoding(name, "destination")
    return text.encode() if encoding is None else encoding.encoded(text)


def trim(value: bytes, chars: bytes) -> bytes:
    """Remove the given bytes from both ends."""
    return value.strip(chars) if chars else value


def _digest(name: str) -> Callable[[bytes], bytes]:
    def digest(value: bytes) -> bytes:
        running = hashlib.new(name)
        for piece in pieces(value):
            running.update(piece)
        return running.digest()

    return digest


define("length(bytea) octet_length(bytea)", template="len({0})")
define("bit_length(bytea)", template="(8 * len({0}))")
define("bit_count(bytea)", lambda value: int.from_bytes(value, "big").bit_count())
define("byteacat", template="joined({0}, {1})")
define("substr(bytea,int4) substring(bytea,int4)", substring)
define("substr(bytea,int4,int4) substring(bytea,int4,int4)", substring)
define("overlay(bytea,bytea,int4) overlay(bytea,bytea,int4,int4)", overlay)
define("position(bytea,bytea)", template="({0}.find({1}) + 1)")
define("btrim(bytea,bytea)", trim)
define("ltrim(bytea,bytea)", lambda value, chars: value.lstrip(chars) if chars else value)
define("rtrim(bytea,bytea)", lambda value, chars: value.rstrip(chars) if chars else value)
define("get_byte", get_byte)
define("set_byte", set_byte)
define("get_bit(bytea,int8)", get_bit)
define("set_bit(bytea,int8,int4)", set_bit)
define("encode", encode)
define("decode", decode)
define("convert_from", convert_from)
define("convert_to", convert_to)
define("convert", lambda value, source, target: convert_to(convert_from(value, source), target))
define("md5(bytea)", md5)
for _bits in (224, 256, 384, 512):
    define(f"sha{_bits}", _digest(f"sha{_bits}"))
