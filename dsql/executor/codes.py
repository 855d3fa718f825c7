"""What generated sources were compiled to: plans of one shape share their code.

All sessions of a process do, so nobody is preempted or interrupted in here (`dsql.session.interrupts`).
"""

from __future__ import annotations

import linecache
import warnings
from collections import OrderedDict
from types import CodeType
from zlib import crc32

from dsql.sql.depth import stack_depth_error

_KEPT_CODES_MAX = 2_000
_KEPT_CHARACTERS_MAX = 8 * 1024 * 1024


class _Codes:
    """Compiled sources: plans of one shape share theirs. The oldest go when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, CodeType] = OrderedDict()
        self._characters = 0

    def get(self, text: str) -> CodeType:
        """Compile a source, or return what it was compiled to before."""
        code = self._kept.get(text)
        if code is None:
            code = self._kept[text] = _compile(text)
            self._characters += len(text)
            self._drop_oldest()
        self._kept.move_to_end(text)
        return code

    def _drop_oldest(self) -> None:
        while len(self._kept) > 1 and (
            len(self._kept) > _KEPT_CODES_MAX or self._characters > _KEPT_CHARACTERS_MAX
        ):
            text, code = self._kept.popitem(last=False)
            self._characters -= len(text)
            linecache.cache.pop(code.co_filename, None)


code_of = _Codes().get


def _compile(text: str) -> CodeType:
    """Compile a source. Raises SqlError 54001 for one that is nested too deep after all.

    It enters linecache, so that tracebacks and profilers can show it.
    """
    filename = f"<dsql {crc32(text.encode()):08x}>"
    with warnings.catch_warnings():
        # `1 is None`: constant arguments are tested like any others
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            code = compile(text, filename, "exec")
        except (MemoryError, RecursionError):
            raise stack_depth_error() from None
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    return code
