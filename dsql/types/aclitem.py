"""aclitem: what a role was granted by whom, `reader=r*w/admin` as text. Values are `schema.AclItem`.

Each privilege is a letter, in the order of PostgreSQL's bits; * behind it is the grant option; nothing in
front of = is PUBLIC. The names of roles come from the catalog, as those of reg* types do.
"""

from __future__ import annotations

import re
import struct
from typing import Any

from dsql.catalog.schema import ADMIN_OID, PUBLIC, AclItem
from dsql.errors import SqlError
from dsql.types import reg
from dsql.types.identifier import quote_identifier, split_name
from dsql.types.pg_type import define
from dsql.types.string import decode_utf8

LETTERS = "arwdDxtXUCTcsA"
_ROW = struct.Struct("!IIII")
_NAME = re.compile(r'\s*((?:"(?:[^"]|"")*"|[\w\x80-\U0010ffff])*)\s*')
_MODES = re.compile(r"[A-Za-z*]*")
_PLAIN = re.compile(r"[A-Za-z0-9_]+")


def _bad(message: str, hint: str = "") -> SqlError:
    return SqlError("22P02", message, hint=hint)


def encode_aclitem(item: AclItem) -> bytes:
    """Return the text of an item."""
    grantee = "" if item.grantee == PUBLIC else _role_text(item.grantee)
    letters = "".join(
        letter + ("*" if item.grantable >> bit & 1 else "")
        for bit, letter in enumerate(LETTERS)
        if item.privileges >> bit & 1
    )
    return f"{grantee}={letters}/{_role_text(item.grantor)}".encode()


def decode_aclitem(data: bytes) -> AclItem:
    """Read an item. Raises SqlError 22P02, or 42704 for an unknown role."""
    text = decode_utf8(data)
    grantee, at = _name(text, 0)
    if text[at : at + 1] != "=":
        if grantee not in ("group", "user"):
            hint = 'ACL key word must be "group" or "user".'
            raise _bad(f'unrecognized key word: "{grantee}"', hint)
        grantee, at = _name(text, at)
        if not grantee:
            raise _bad("missing name", 'A name must follow the "group" or "user" key word.')
        if text[at : at + 1] != "=":
            raise _bad('missing "=" sign')
    privileges, grantable, at = _modes(text, at + 1)
    member = _role_oid(grantee) if grantee else PUBLIC
    grantor = ADMIN_OID
    if text[at : at + 1] == "/":
        name, at = _name(text, at + 1)
        if not name:
            raise _bad('a name must follow the "/" sign')
        grantor = _role_oid(name)
    if text[at:].strip():
        raise _bad("extra garbage at the end of the ACL specification")
    return AclItem(member, grantor, privileges, grantable)


def _modes(text: str, at: int) -> tuple[int, int, int]:
    """Return (privileges, grantable, the place behind them)."""
    found = _MODES.match(text, at)
    assert found is not None
    privileges = grantable = bit = 0
    for letter in found[0]:
        if letter == "*":
            grantable |= bit
            continue
        if letter not in LETTERS:
            raise _bad(f'invalid mode character: must be one of "{LETTERS}"')
        bit = 1 << LETTERS.index(letter)
        privileges |= bit
    return privileges, grantable, found.end()


def _name(text: str, at: int) -> tuple[str, int]:
    found = _NAME.match(text, at)
    assert found is not None
    name = re.sub(r'"((?:[^"]|"")*)"', lambda quoted: quoted[1].replace('""', '"'), found[1])
    if len(name.encode()) > 63:
        detail = "Identifier must be less than 64 characters."
        raise SqlError("42622", "identifier too long", detail=detail)
    return name, found.end()


def _role_text(oid: int) -> str:
    name = split_name(reg.name_of("regrole", oid))[0]
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _role_oid(name: str) -> int:
    return reg.oid_of("regrole", quote_identifier(name))


def _no_binary(direction: str) -> Any:
    def refuse(_value: Any) -> Any:
        raise SqlError("42883", f"no binary {direction} function available for type aclitem")

    return refuse


def to_bytes(item: AclItem) -> bytes:
    """Return what a row value holds."""
    return _ROW.pack(item.grantee, item.grantor, item.privileges, item.grantable)


def from_bytes(data: bytes) -> AclItem:
    """Return the item of a row value."""
    return AclItem(*_ROW.unpack(data))


define(
    "aclitem",
    encode=encode_aclitem,
    decode=decode_aclitem,
    binary_encode=_no_binary("output"),
    binary_decode=_no_binary("input"),
    store_template="aclitem_to_bytes({0})",
    load_template="aclitem_from_bytes({0})",
    sort_key=to_bytes,
)
