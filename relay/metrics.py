"""The relay's counters, all in one place, and as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

from collections import Counter

import msgspec


class Metrics(msgspec.Struct):
    """Counts since the start; `open_logins` is how many there are now.

    `refused` counts refusals by SQLSTATE, `broken` connections that ended before a message could be
    sent to them: by their client, by a TLS failure, or by the login deadline. `gave_way` counts logins
    ended in favour of newer ones; `cancels` were passed on, the others had an unknown key or came too fast.
    """

    accepted: int = 0
    logins: int = 0
    handed_over: int = 0
    spliced: int = 0
    cancels: int = 0
    cancels_unknown: int = 0
    cancels_limited: int = 0
    broken: int = 0
    gave_way: int = 0
    open_logins: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)

    def exposition(self) -> str:
        """Return every counter as a line of Prometheus' text format, with its type."""
        lines = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name == "open_logins":
                lines += [f"# TYPE dsql_relay_{name} gauge", f"dsql_relay_{name} {value}"]
                continue
            lines.append(f"# TYPE dsql_relay_{name}_total counter")
            if isinstance(value, int):
                lines.append(f"dsql_relay_{name}_total {value}")
            else:
                lines += [
                    f'dsql_relay_{name}_total{{sqlstate="{sqlstate}"}} {count}'
                    for sqlstate, count in sorted(value.items())
                ]
        return "\n".join(lines) + "\n"

    def snapshot(self) -> dict[str, object]:
        """Return every counter by name."""
        return {name: getattr(self, name) for name in self.__struct_fields__} | {
            "refused": dict(self.refused)
        }
