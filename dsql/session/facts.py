"""What a session tells its own statements about itself: the `dsql.functions.function.SessionFacts`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dsql.session.parameters import DEFINITIONS, in_base_unit, parameter_key
from dsql.session.prepared import describe_statements

if TYPE_CHECKING:
    from dsql.session.state import SessionState


class Facts:
    """See the module."""

    def __init__(self, state: SessionState) -> None:
        self._state = state

    def settings(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of pg_settings."""
        settings = self._state.settings
        defaults = settings.defaults()
        for name, value, description in settings.all():
            definition, default = DEFINITIONS[parameter_key(name)], defaults[parameter_key(name)]
            has_bounds = definition.kind in ("integer", "real")
            yield {
                "name": name,
                "setting": in_base_unit(definition, value),
                "unit": definition.unit or None,
                "category": "Session",
                "short_desc": description,
                "context": definition.context,
                "vartype": definition.kind,
                "source": "default" if value == default else "session",
                "min_val": f"{definition.minimum:.15g}" if has_bounds else None,
                "max_val": f"{definition.maximum:.15g}" if has_bounds else None,
                "enumvals": list(definition.values) if definition.kind == "enum" else None,
                "boot_val": in_base_unit(definition, definition.default),
                "reset_val": in_base_unit(definition, default),
                "pending_restart": False,
            }

    def prepared_statements(self) -> Iterator[Mapping[str, Any]]:
        """Yield the rows of pg_prepared_statements."""
        return describe_statements(self._state)
