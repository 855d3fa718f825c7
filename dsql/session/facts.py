"""What a session tells its own statements about itself: the `dsql.functions.function.SessionFacts`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dsql.session.prepared import describe_statements

if TYPE_CHECKING:
    from dsql.session.state import SessionState


class Facts:
    """See the module."""

    def __init__(self, state: SessionState) -> None:
        self._state = state

    def prepared_statements(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of pg_prepared_statements."""
        return describe_statements(self._state)
