"""Code of an expression, as one of Python."""

from __future__ import annotations

import re
from typing import NamedTuple

_ATOM = re.compile(r"\w+|-?\d+|\(-\d+\)|'[^'\\]*'|b'[^'\\]*'")


class Code(NamedTuple):
    """Code of an expression; `nullable`: it may be None."""

    text: str
    nullable: bool

    @property
    def atom(self) -> bool:
        """True if it may be written several times: a name or a short literal."""
        return _ATOM.fullmatch(self.text) is not None
