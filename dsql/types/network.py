"""inet and cidr. A value is PostgreSQL's text of an inet: an address, and its prefix length unless whole.

So a cidr is an inet as it stands; its own text shows the length always. Texts are read and written as by
PostgreSQL's inet_net_pton.c and inet_net_ntop.c, whose rules differ from those of the system's library.
"""

from __future__ import annotations

import re
import struct
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from dsql.errors import SqlError
from dsql.types.binary_input import wrong_length
from dsql.types.pg_type import define
from dsql.types.string import decode_utf8

_V4_BITS = 32
_V6_BITS = 128
_MAPPED = 0xFFFF  # what an address of version 4 has in front of it as one of version 6
_TOO_MUCH = 1_000  # for an octet and for a prefix length
_FAMILIES = {_V4_BITS: 2, _V6_BITS: 3}  # of the binary format: PGSQL_AF_INET and PGSQL_AF_INET6
_OCTETS = re.compile(r"(\d+(?:\.\d+)*)\.?(?:/(\d+))?", re.ASCII)
_NETWORK = re.compile(r"(?:0[xX]([0-9a-fA-F]+)|(\d+(?:\.\d+)*))(?:/(\d+))?", re.ASCII)
_V6 = re.compile(r"([0-9a-fA-F:.]+)(?:/(0|[1-9][0-9]*))?", re.ASCII)


class Address(NamedTuple):
    """An address with its prefix length; `width` is 32 or 128."""

    width: int
    prefix: int
    number: int

    @property
    def network(self) -> int:
        """The address with zeros behind the prefix."""
        rest = self.width - self.prefix
        return self.number >> rest << rest


def _number(digits: str) -> int:
    """Return what digits spell; with more than three of them, zeros in front aside, what is too much."""
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= 3 else _TOO_MUCH


def _octets(text: str) -> list[int] | None:
    parts = text.split(".")
    octets = [_number(part) for part in parts] if len(parts) <= 4 else [_TOO_MUCH]
    return octets if max(octets) <= 255 else None


def _number_of(octets: list[int]) -> int:
    return int.from_bytes(bytes(octets).ljust(4, b"\0"), "big")


def _read_v4(text: str) -> Address | None:
    """Read an inet of version 4: all octets, or some of them that a prefix does not go beyond."""
    found = _OCTETS.fullmatch(text)
    octets = _octets(found[1]) if found else None
    if found is None or octets is None:
        return None
    if found[2] is None and len(octets) < 4:
        return None
    prefix = _V4_BITS if found[2] is None else _number(found[2])
    if prefix > _V4_BITS or prefix // 8 > len(octets):
        return None
    return Address(_V4_BITS, prefix, _number_of(octets))


def _read_v4_network(text: str) -> Address | None:
    """Read a cidr of version 4, of which octets may be missing, and the prefix: then its class counts."""
    found = _NETWORK.fullmatch(text)
    if not found:
        return None
    if found[1]:
        digits = found[1] + "0" * (len(found[1]) % 2)
        octets: list[int] | None = list(bytes.fromhex(digits)) if len(digits) <= 8 else None
    else:
        octets = _octets(found[2])
    if octets is None:
        return None
    prefix = _class_of(octets) if found[3] is None else _number(found[3])
    return Address(_V4_BITS, prefix, _number_of(octets)) if prefix <= _V4_BITS else None


def _class_of(octets: list[int]) -> int:
    first = octets[0]
    widths = ((240, 32), (224, 8), (192, 24), (128, 16), (0, 8))
    prefix = next(width for least, width in widths if first >= least)
    prefix = max(prefix, 8 * len(octets))
    return 4 if prefix == 8 and first == 224 else prefix


def _read_v6(text: str) -> Address | None:
    found = _V6.fullmatch(text)
    if not found:
        return None
    try:
        number = int(IPv6Address(found[1]))
    except AddressValueError:
        return None
    prefix = _V6_BITS if found[2] is None else _number(found[2])
    return Address(_V6_BITS, prefix, number) if prefix <= _V6_BITS else None


def parse(value: str) -> Address:
    """Return the parts of a value."""
    text, _, prefix = value.partition("/")
    is_v6 = ":" in text
    width = _V6_BITS if is_v6 else _V4_BITS
    number = int(IPv6Address(text)) if is_v6 else int(IPv4Address(text))
    return Address(width, int(prefix) if prefix else width, number)


def host(address: Address) -> str:
    """Return the text of an address without its prefix length."""
    if address.width == _V4_BITS:
        return str(IPv4Address(address.number))
    head, last = divmod(address.number, 1 << 32)
    if head == _MAPPED or (not head and last >> 16):
        return f"::{'ffff:' if head else ''}{IPv4Address(last)}"
    return str(IPv6Address(address.number))


def value_of(address: Address) -> str:
    """Return a value by its parts."""
    text = host(address)
    return text if address.prefix == address.width else f"{text}/{address.prefix}"


def sort_key(value: str) -> tuple[int, int, int, int]:
    """Return what orders values: version, network, prefix length, address."""
    address = parse(value)
    return address.width, address.network, address.prefix, address.number


def key_of(value: str) -> bytes:
    """Return bytes that order values as `sort_key` does; none begins with another one."""
    address = parse(value)
    size = address.width // 8
    network, number = (part.to_bytes(size, "big") for part in (address.network, address.number))
    return bytes((address.width,)) + network + bytes((address.prefix,)) + number


def _bad_text(name: str, text: str) -> SqlError:
    return SqlError("22P02", f'invalid input syntax for type {name}: "{text}"')


def decode_inet(data: bytes) -> str:
    """Read an inet. Raises SqlError 22P02."""
    text = decode_utf8(data)
    address = _read_v6(text) if ":" in text else _read_v4(text)
    if address is None:
        raise _bad_text("inet", text)
    return value_of(address)


def decode_cidr(data: bytes) -> str:
    """Read a cidr. Raises SqlError 22P02."""
    text = decode_utf8(data)
    address = _read_v6(text) if ":" in text else _read_v4_network(text)
    if address is None:
        raise _bad_text("cidr", text)
    if address.network != address.number:
        detail = "Value has bits set to right of mask."
        raise SqlError("22P02", f'invalid cidr value: "{text}"', detail=detail)
    return value_of(address)


def cidr_text(value: str) -> str:
    """Return a value's text as a cidr."""
    if "/" in value:
        return value
    return f"{value}/{_V6_BITS if ':' in value else _V4_BITS}"


def _to_binary(value: str, is_cidr: int) -> bytes:
    """Return inet_send's bytes: family, prefix length, is_cidr, address length, address."""
    address = parse(value)
    size = address.width // 8
    head = struct.pack("BBBB", _FAMILIES[address.width], address.prefix, is_cidr, size)
    return head + address.number.to_bytes(size, "big")


def encode_inet(value: str) -> bytes:
    """Return the binary format of an inet."""
    return _to_binary(value, 0)


def _from_binary(data: bytes, name: str) -> str:
    if len(data) < 4:
        raise wrong_length(data, 8)
    family, prefix, _, size = data[:4]
    width = {number: bits for bits, number in _FAMILIES.items()}.get(family)
    if width is None:
        raise SqlError("22P03", f'invalid address family in external "{name}" value')
    if prefix > width:
        raise SqlError("22P03", f'invalid bits in external "{name}" value')
    if size * 8 != width:
        raise SqlError("22P03", f'invalid length in external "{name}" value')
    if len(data) != 4 + size:
        raise wrong_length(data, 4 + size)
    address = Address(width, prefix, int.from_bytes(data[4:], "big"))
    if name == "cidr" and address.network != address.number:
        detail = "Value has bits set to right of mask."
        raise SqlError("22P03", 'invalid external "cidr" value', detail=detail)
    return value_of(address)


define(
    "inet",
    encode=str.encode,
    decode=decode_inet,
    binary_encode=encode_inet,
    binary_decode=lambda data: _from_binary(data, "inet"),
    text_template="{0}.encode()",
    sort_key=sort_key,
)
define(
    "cidr",
    encode=lambda value: cidr_text(value).encode(),
    decode=decode_cidr,
    binary_encode=lambda value: _to_binary(value, 1),
    binary_decode=lambda data: _from_binary(data, "cidr"),
    sort_key=sort_key,
)
