"""What BEGIN and SET TRANSACTION say of a transaction: isolation level, READ ONLY, DEFERRABLE.

    read committed    each statement of a block has a snapshot of its own, from when it begins
    repeatable read   all have the one of the first
    serializable      as that, and the commit fails unless all that was read is still so

READ UNCOMMITTED is READ COMMITTED, as in PostgreSQL. In the dsql profile all are REPEATABLE READ.
A serializable transaction that writes nothing needs no commit: what it has seen is the state behind some
commit, and all that write are as if they had run one after the other, in the order of their commits. So
DEFERRABLE has nothing to wait for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dsql.errors import SqlError
from dsql.session.record import ModesRecord

READ_COMMITTED, REPEATABLE_READ = "read committed", "repeatable read"
READ_UNCOMMITTED, SERIALIZABLE = "read uncommitted", "serializable"
RENEWING = (READ_COMMITTED, READ_UNCOMMITTED)  # their statements have snapshots of their own

# The parameters that show and set what the running transaction is, with the part of Modes that each is.
PARAMETERS = {
    "transaction_isolation": "isolation",
    "transaction_read_only": "read_only",
    "transaction_deferrable": "deferrable",
}


class Modes(NamedTuple):
    """What is said of a transaction; None: nothing."""

    isolation: str | None = None
    read_only: bool | None = None
    deferrable: bool | None = None

    def record(self) -> ModesRecord:
        """Return them for another process, of a transaction of which all is said."""
        assert self.isolation is not None, "all is said"
        return self.isolation, bool(self.read_only), bool(self.deferrable)  # type: ignore[return-value]

    def and_then(self, said: Modes) -> Modes:
        """Return what a transaction is of which this was said first."""
        return self._replace(
            **{part: value for part, value in said._asdict().items() if value is not None}
        )

    def shown(self, parameter: str) -> str:
        """Return what SHOW prints of one of the PARAMETERS."""
        value = getattr(self, PARAMETERS[parameter])
        return value if isinstance(value, str) else "on" if value else "off"


def modes_of(options: Any) -> Modes:
    """Return what the options of a BEGIN, SET TRANSACTION or SET SESSION CHARACTERISTICS say."""
    found: dict[str, str | bool] = {}
    for option in options:
        element = option.def_elem
        part = PARAMETERS.get(element.defname)
        if part is not None:
            value = element.arg.a_const
            is_text = part == "isolation"
            found[part] = str(value.sval.sval) if is_text else bool(value.ival.ival)
    return Modes(**found)  # type: ignore[arg-type]


def mode_of(parameter: str, text: str) -> Modes:
    """Return what SET says with one of the PARAMETERS; `text` as SHOW would print it."""
    part = PARAMETERS[parameter]
    value: Any = text if part == "isolation" else text == "on"
    return Modes(**{part: value})


def check_change(before: Modes, said: Modes, *, has_queried: bool, has_savepoints: bool) -> None:
    """Raise SqlError 25001 for what cannot be said any more of a transaction that is as `before`."""
    if said.isolation is not None and said.isolation != before.isolation:
        if has_queried:
            raise _late("SET TRANSACTION ISOLATION LEVEL must be called before any query")
        if has_savepoints:
            raise _late("SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction")
    if said.read_only is False and before.read_only:
        if has_savepoints:
            raise _late("cannot set transaction read-write mode inside a read-only transaction")
        if has_queried:
            raise _late("transaction read-write mode must be set before any query")
    if said.deferrable is not None:
        statement = "SET TRANSACTION [NOT] DEFERRABLE"
        if has_savepoints:
            raise _late(f"{statement} cannot be called within a subtransaction")
        if has_queried:
            raise _late(f"{statement} must be called before any query")


def _late(message: str) -> SqlError:
    return SqlError("25001", message)
