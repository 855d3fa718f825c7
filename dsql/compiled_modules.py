"""The modules that mypyc may compile, and whether it has.

They are what a round trip spends its time in: the session, its transaction, the cutting and recognising of
messages. Everything runs as plain Python as well. What must stay interpreted, and why:

- what tells by frames where a signal came (`_ATOMIC` in `dsql.session.interrupts`), or has a `__del__`:
  compiled functions have no frames;
- whatever may go on for milliseconds without a call into interpreted code: a compiled loop looks at no
  signals, so neither a cancel nor another session's turn would come in there;
- whatever calls itself, because compiled calls do not count towards the recursion limit;
- modules with msgspec.Structs, whose annotations mypyc drops (tuples would be decoded as lists, silently),
  and with what interpreted classes inherit from.

`tests/architecture` checks these as far as it can.
"""

from __future__ import annotations

from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES

COMPILED_MODULES = (
    "dsql.session.block",
    "dsql.session.compiled",
    "dsql.session.context",
    "dsql.session.extended",
    "dsql.session.portal",
    "dsql.session.prepared_round",
    "dsql.session.replay",
    "dsql.session.session",
    "dsql.session.settings",
    "dsql.session.simple",
    "dsql.session.statement",
    "dsql.session.transactions",
    "dsql.sql.normalize",
    "dsql.transaction.transaction",
    "dsql.wire.buffer",
)


def runs_compiled() -> bool:
    """Return whether this process has them compiled: all, or none."""
    kinds = {
        str(import_module(name).__file__).endswith(tuple(EXTENSION_SUFFIXES))
        for name in COMPILED_MODULES
    }
    assert len(kinds) == 1, "some modules are compiled and some are not: install this again"
    return kinds.pop()
