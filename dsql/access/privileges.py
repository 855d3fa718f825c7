"""The privileges there are, and of every kind of object: which it has, its default ACL, its word.

Source: https://www.postgresql.org/docs/16/ddl-priv.html; the bits are PostgreSQL's (acl.h).
"""

from __future__ import annotations

import enum

from dsql.catalog.schema import PUBLIC, Acl, AclItem
from dsql.errors import SqlError


class Privilege(enum.IntFlag):
    """One bit each, in the order of the letters of an aclitem."""

    NONE = 0
    INSERT = 1 << 0
    SELECT = 1 << 1
    UPDATE = 1 << 2
    DELETE = 1 << 3
    TRUNCATE = 1 << 4
    REFERENCES = 1 << 5
    TRIGGER = 1 << 6
    EXECUTE = 1 << 7
    USAGE = 1 << 8
    CREATE = 1 << 9
    TEMPORARY = 1 << 10
    CONNECT = 1 << 11
    SET = 1 << 12
    ALTER_SYSTEM = 1 << 13

    @property
    def word(self) -> str:
        """The privilege as aclexplode shows it: `ALTER SYSTEM`."""
        return str(self.name).replace("_", " ")


_P = Privilege
EVERY = (1 << 14) - 1
_TABLE = 0b111_1111
_COLUMN = _P.SELECT | _P.INSERT | _P.UPDATE | _P.REFERENCES


class Kind(enum.Enum):
    """A kind of object: its word in messages, acldefault's letter, all privileges, PUBLIC's, the owner's.

    DOMAIN is a TYPE in all but words, PROCEDURE and ROUTINE are FUNCTIONs, both VIEWs and INDEX are TABLEs.
    """

    TABLE = "table", "r", _TABLE, 0, _TABLE
    VIEW = "view", "r", _TABLE, 0, _TABLE
    MATERIALIZED_VIEW = "materialized view", "r", _TABLE, 0, _TABLE
    INDEX = "index", "r", _TABLE, 0, _TABLE
    COLUMN = "column", "c", _COLUMN, 0, 0
    SEQUENCE = (
        "sequence",
        "s",
        _P.SELECT | _P.UPDATE | _P.USAGE,
        0,
        _P.SELECT | _P.UPDATE | _P.USAGE,
    )
    DATABASE = (
        "database", "d", _P.CREATE | _P.TEMPORARY | _P.CONNECT, _P.TEMPORARY | _P.CONNECT,
        _P.CREATE | _P.TEMPORARY | _P.CONNECT,
    )  # fmt: skip
    FUNCTION = "function", "f", _P.EXECUTE, _P.EXECUTE, _P.EXECUTE
    PROCEDURE = "procedure", "f", _P.EXECUTE, _P.EXECUTE, _P.EXECUTE
    ROUTINE = "routine", "f", _P.EXECUTE, _P.EXECUTE, _P.EXECUTE
    LANGUAGE = "language", "l", _P.USAGE, _P.USAGE, _P.USAGE
    LARGE_OBJECT = "large object", "L", _P.SELECT | _P.UPDATE, 0, _P.SELECT | _P.UPDATE
    SCHEMA = "schema", "n", _P.USAGE | _P.CREATE, 0, _P.USAGE | _P.CREATE
    PARAMETER = "parameter", "p", _P.SET | _P.ALTER_SYSTEM, 0, _P.SET | _P.ALTER_SYSTEM
    TABLESPACE = "tablespace", "t", _P.CREATE, 0, _P.CREATE
    FOREIGN_DATA_WRAPPER = "foreign-data wrapper", "F", _P.USAGE, 0, _P.USAGE
    FOREIGN_SERVER = "foreign server", "S", _P.USAGE, 0, _P.USAGE
    DOMAIN = "domain", "T", _P.USAGE, _P.USAGE, _P.USAGE
    TYPE = "type", "T", _P.USAGE, _P.USAGE, _P.USAGE
    ROLE = "role", "", 0, 0, 0
    STATISTICS = "statistics object", "", 0, 0, 0

    def __init__(self, word: str, letter: str, every: int, world: int, owner: int) -> None:
        self.word = word
        self.letter = letter
        self.every = int(every)
        self.world = int(world)
        self.owner = int(owner)

    def default_acl(self, owner_oid: int) -> Acl:
        """Return what NULL in relacl and its kin means, as acldefault does."""
        items = []
        if self.world:
            items.append(AclItem(PUBLIC, owner_oid, self.world))
        if self.owner:
            items.append(AclItem(owner_oid, owner_oid, self.owner))
        return tuple(items)


RELATION_KINDS = {
    "r": Kind.TABLE,
    "v": Kind.VIEW,
    "m": Kind.MATERIALIZED_VIEW,
    "S": Kind.SEQUENCE,
    "i": Kind.INDEX,
}


def permission_denied(kind: Kind, name: str) -> SqlError:
    """Return the error (42501) of a privilege that is missing on an object."""
    return SqlError("42501", f"permission denied for {kind.word} {name}")


def must_own(kind: Kind, name: str) -> SqlError:
    """Return the error (42501) of what only an object's owner may do, for a COLUMN its relation's."""
    word = "relation" if kind is Kind.COLUMN else kind.word
    return SqlError("42501", f"must be owner of {word} {name}")


_NAMES = {privilege.word.lower(): privilege for privilege in Privilege if privilege}
_NAMES |= {"temp": Privilege.TEMPORARY, "rule": Privilege.NONE}  # RULE has meant nothing since 8.2


_GRANT_OPTION = " with grant option"


def privilege_named(name: str) -> Privilege:
    """Return the privilege that GRANT calls by a name. Raises SqlError 42601."""
    found = _NAMES.get(name)
    if found is None:
        raise SqlError("42601", f'unrecognized privilege type "{name}"')
    return found


def privileges_named(text: str, known: int, *, options: bool = True) -> tuple[int, int]:
    """Read the privileges a function is asked about, `SELECT, INSERT WITH GRANT OPTION`, as two masks.

    The first is of privileges, the second of grant options (none unless `options`). Raises SqlError 22023.
    """
    masks = [0, 0]
    for part in text.split(","):
        word = part.strip(" \t\n\r\v\f")
        name = word.lower()
        is_option = options and name.endswith(_GRANT_OPTION)
        found = _NAMES.get(name.removesuffix(_GRANT_OPTION) if is_option else name)
        is_old = found is Privilege.NONE and known & Privilege.TRUNCATE
        if found is None or not (found & known or is_old):
            raise SqlError("22023", f'unrecognized privilege type: "{word}"')
        masks[is_option] |= found
    return masks[0], masks[1]


def invalid_privilege(privilege: int, word: str) -> SqlError:
    """Return the error (0LP01) of a privilege that a kind of object does not have."""
    name = "TEMP" if privilege == Privilege.TEMPORARY else Privilege(privilege).word
    return SqlError("0LP01", f"invalid privilege type {name} for {word}")


def in_words(mask: int) -> list[Privilege]:
    """Return the privileges of a mask, in the order of their bits."""
    return [privilege for privilege in Privilege if privilege & mask]
