"""Functions and operators of inet and cidr."""

from __future__ import annotations

import operator
from collections.abc import Callable
from itertools import groupby

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.types.network import Address, cidr_text, host, parse, value_of

_INT8_END = 1 << 63


def _checked_prefix(address: Address, prefix: int) -> int:
    if prefix == -1:
        return address.width
    if not 0 <= prefix <= address.width:
        raise SqlError("22023", f"invalid mask length: {prefix}")
    return prefix


def set_masklen(value: str, prefix: int) -> str:
    """Return an inet with another prefix length, -1 for all. Raises SqlError 22023."""
    address = parse(value)
    return value_of(address._replace(prefix=_checked_prefix(address, prefix)))


def _network_of(address: Address, prefix: int) -> str:
    masked = address._replace(prefix=prefix)
    return value_of(masked._replace(number=masked.network))


def set_cidr_masklen(value: str, prefix: int) -> str:
    """Return a cidr with another prefix length, its other bits zero. Raises SqlError 22023."""
    address = parse(value)
    return _network_of(address, _checked_prefix(address, prefix))


def network(value: str) -> str:
    """Return the network of an address."""
    address = parse(value)
    return _network_of(address, address.prefix)


def _ones(address: Address) -> int:
    return (1 << address.width - address.prefix) - 1


def _whole(address: Address, number: int) -> str:
    return value_of(Address(address.width, address.width, number))


def netmask(value: str) -> str:
    """Return the mask of an address's network."""
    address = parse(value)
    return _whole(address, (1 << address.width) - 1 ^ _ones(address))


def hostmask(value: str) -> str:
    """Return the mask of the bits behind an address's network."""
    address = parse(value)
    return _whole(address, _ones(address))


def broadcast(value: str) -> str:
    """Return the last address of a network, with its prefix length."""
    address = parse(value)
    return value_of(address._replace(number=address.number | _ones(address)))


def abbreviated(value: str) -> str:
    """Return a cidr without what its prefix length leaves out."""
    address = parse(value)
    size, packed = address.width // 8, address.network.to_bytes(address.width // 8, "big")
    if size == 4:
        octets = packed[: max((address.prefix + 7) // 8, 1)]
        return f"{'.'.join(map(str, octets))}/{address.prefix}"
    return f"{_short_words(packed, address.prefix) if address.prefix else '::'}/{address.prefix}"


def _short_words(packed: bytes, prefix: int) -> str:
    """Return the words that a prefix covers, two at least, its longest run of zeros as "::"."""
    count = max((prefix + 15) // 16, 2)
    words = [int.from_bytes(packed[at : at + 2], "big") for at in range(0, 2 * count, 2)]
    start, length = _longest_zeros(words)
    if start == 0 and length != count and (length == 6 or (length == 5 and words[5] == 0xFFFF)):
        octets = packed[12 : 16 if prefix > 120 else 15][: 2 * (count - 6)]
        head = "::" if length == 6 else "::ffff:"
        return head + ".".join(map(str, octets))
    if not length:
        return ":".join(f"{word:x}" for word in words)
    head, tail = (
        ":".join(f"{word:x}" for word in part) for part in (words[:start], words[start + length :])
    )
    return f"{head}::{tail}"


def _longest_zeros(words: list[int]) -> tuple[int, int]:
    """Return (start, length) of the first of the longest runs of zeros."""
    best, at = (0, 0), 0
    for is_zero, run in groupby(words, key=lambda word: word == 0):
        length = len(list(run))
        if is_zero and length > best[1]:
            best = at, length
        at += length
    return best


def contains(left: Address, right: Address) -> bool:
    """Return whether a network has all of another one."""
    if left.width != right.width or left.prefix > right.prefix:
        return False
    rest = left.width - left.prefix
    return left.number >> rest == right.number >> rest


def _overlap(left: Address, right: Address) -> bool:
    return contains(left, right) or contains(right, left)


def _contains_more(left: Address, right: Address) -> bool:
    return left.prefix < right.prefix and contains(left, right)


def _of_addresses(
    relation: Callable[[Address, Address], bool],
) -> Callable[[str, str], bool]:
    return lambda left, right: relation(parse(left), parse(right))


def merge(left: str, right: str) -> str:
    """Return the smallest network that has both addresses. Raises SqlError 22023."""
    one, other = parse(left), parse(right)
    if one.width != other.width:
        raise SqlError("22023", "cannot merge addresses from different families")
    common = one.width - (one.number ^ other.number).bit_length()
    return _network_of(one, min(common, one.prefix, other.prefix))


def _combined(name: str, combine: Callable[[int, int], int]) -> Callable[[str, str], str]:
    def apply(left: str, right: str) -> str:
        one, other = parse(left), parse(right)
        if one.width != other.width:
            raise SqlError("22023", f"cannot {name} inet values of different sizes")
        number = combine(one.number, other.number)
        return value_of(Address(one.width, max(one.prefix, other.prefix), number))

    return apply


def invert(value: str) -> str:
    """Return the address with each bit turned."""
    address = parse(value)
    return value_of(address._replace(number=address.number ^ (1 << address.width) - 1))


def add(value: str, addend: int) -> str:
    """Return the address so many further. Raises SqlError 22003."""
    address = parse(value)
    number = address.number + addend
    if not 0 <= number < 1 << address.width:
        raise SqlError("22003", "result is out of range")
    return value_of(address._replace(number=number))


def difference(left: str, right: str) -> int:
    """Return how far two addresses are apart. Raises SqlError 22023, 22003."""
    one, other = parse(left), parse(right)
    if one.width != other.width:
        raise SqlError("22023", "cannot subtract inet values of different sizes")
    result = one.number - other.number
    if not -_INT8_END <= result < _INT8_END:
        raise SqlError("22003", "result is out of range")
    return result


define("abbrev(inet)", lambda value: value)
define("abbrev(cidr)", abbreviated)
define("set_masklen(inet,int4)", set_masklen)
define("set_masklen(cidr,int4)", set_cidr_masklen)
define("network(inet) cidr(inet)", network)
define("netmask", netmask)
define("hostmask", hostmask)
define("broadcast", broadcast)
define("masklen", lambda value: parse(value).prefix)
define("family", lambda value: 6 if ":" in value else 4)
define("host", lambda value: host(parse(value)))
define("text(inet)", cidr_text)
define("network_sup", _of_addresses(_contains_more))
define("network_supeq", _of_addresses(contains))
define("network_sub", _of_addresses(lambda left, right: _contains_more(right, left)))
define("network_subeq", _of_addresses(lambda left, right: contains(right, left)))
define("network_overlap", _of_addresses(_overlap))
define("inet_merge", merge)
define("inet_same_family", lambda left, right: (":" in left) == (":" in right))
define("inetnot", invert)
define("inetand", _combined("AND", operator.and_))
define("inetor", _combined("OR", operator.or_))
define("inetpl", add)
define("int8pl_inet", lambda addend, value: add(value, addend))
define("inetmi_int8", lambda value, addend: add(value, -addend))
define("inetmi", difference)
