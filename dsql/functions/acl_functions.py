"""SQL functions on aclitem and aclitem[]."""

from __future__ import annotations

from collections.abc import Iterator

from dsql.access.privileges import EVERY, Kind, in_words, privileges_named
from dsql.catalog.schema import AclItem
from dsql.errors import SqlError, unsupported
from dsql.functions.definition import define

_KINDS = {kind.letter: kind for kind in Kind}


def _default(letter: str, owner: int) -> list[AclItem]:
    kind = _KINDS.get(letter)
    if kind is None or not letter:
        raise SqlError("XX000", f"unrecognized objtype abbreviation: {letter}")
    return list(kind.default_acl(owner))


def _explode(items: list[AclItem]) -> Iterator[tuple[int, int, str, bool]]:
    """Yield (grantor, grantee, privilege, is grantable), a row for each privilege."""
    for item in _checked(items):
        for privilege in in_words(item.privileges | item.grantable):
            if privilege & item.privileges:
                yield item.grantor, item.grantee, privilege.word, bool(privilege & item.grantable)


def _checked(items: list[AclItem]) -> list[AclItem]:
    if any(isinstance(item, list) for item in items):
        raise SqlError("22023", "ACL arrays must be one-dimensional")
    if None in items:
        raise SqlError("22004", "ACL arrays must not contain null values")
    return items


def _make(grantee: int, grantor: int, text: str, grantable: bool) -> AclItem:
    mask, _ = privileges_named(text, EVERY, options=False)
    return AclItem(grantee, grantor, mask, mask if grantable else 0)


def _contains(items: list[AclItem], wanted: AclItem) -> bool:
    return any(
        (item.grantee, item.grantor) == (wanted.grantee, wanted.grantor)
        and not wanted.privileges & ~item.privileges
        and not wanted.grantable & ~item.grantable
        for item in _checked(items)
    )


def _no_longer(name: str) -> list[AclItem]:
    raise unsupported(f"{name} is no longer supported")


define("acldefault", _default)
define("aclexplode", _explode)
define("makeaclitem", _make)
define("aclcontains", _contains)
define("aclinsert", lambda _items, _item: _no_longer("aclinsert"))
define("aclremove", lambda _items, _item: _no_longer("aclremove"))
