"""The parameters of one session: SET, SET LOCAL, RESET and SHOW, undone with their transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dsql.errors import SqlError
from dsql.session.parameters import (
    DEFINITIONS,
    REPORTED,
    Definition,
    canonical_value,
    merge_date_style,
    split_names,
)
from dsql.sql.refusals import DSQL, setting_error, setting_refused
from dsql.types.type import FormatSettings

Snapshot = tuple[dict[str, str], dict[str, str]]


class Settings:
    """Values by lower-case name. `generation` changes with everything that a plan may depend on.

    `_session` is what SET has made, `_effective` that with SET LOCAL on top. A transaction that changes
    something keeps what there was before in `_saved`.
    """

    def __init__(self, user: str, profile: str) -> None:
        self._defaults = {name: definition.default for name, definition in DEFINITIONS.items()}
        self._defaults |= {"session_authorization": user, "dsql.profile": profile}
        self._session = dict(self._defaults)
        self._effective = dict(self._defaults)
        self._saved: Snapshot | None = None
        self._reported: dict[str, str | None] = dict.fromkeys(REPORTED)
        self.generation = 0
        self._derive()

    def _derive(self) -> None:
        """Compute what others read on every statement."""
        values = self._effective
        self.generation += 1
        self.changed = True  # perhaps something the client has to be told
        self.formats = FormatSettings(
            date_style=values["datestyle"],
            interval_style=values["intervalstyle"],
            time_zone=values["timezone"],
            extra_float_digits=int(values["extra_float_digits"]),
            bytea_output=values["bytea_output"],
        )
        self.profile = values["dsql.profile"]
        self.statement_timeout_seconds = self.milliseconds("statement_timeout") / 1000
        user = self.current_user
        self.search_path = tuple(
            user if name == "$user" else name for name in split_names(values["search_path"])
        )

    @property
    def current_user(self) -> str:
        """The role whose rights count: SET ROLE's, else the session's."""
        role = self._effective["role"]
        return self._effective["session_authorization"] if role == "none" else role

    @property
    def session_user(self) -> str:
        """The role that logged in."""
        return self._effective["session_authorization"]

    @property
    def plan_key(self) -> tuple[object, ...]:
        """What of the settings a plan depends on."""
        return (self.search_path, self.current_user, self.profile, self.formats)

    def get(self, name: str) -> str | None:
        """Return a value as SHOW prints it, None for an unknown parameter."""
        return self._effective.get(name.lower())

    def show(self, name: str) -> str:
        """Return a value as SHOW prints it. Raises SqlError 42704."""
        value = self.get(name)
        if value is None:
            raise SqlError("42704", f'unrecognized configuration parameter "{name}"')
        return value

    def milliseconds(self, name: str) -> float:
        """Return a time parameter in milliseconds."""
        text = self._effective[name]
        if text == "0":
            return 0
        digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
        factors = {"us": 0.001, "ms": 1, "s": 1e3, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
        return int(digits) * factors[text[len(digits) :]]

    def all(self) -> Iterator[tuple[str, str, str]]:
        """Yield (name, value, description) of every parameter that SHOW ALL lists."""
        for key in sorted(self._effective):
            definition = DEFINITIONS.get(key)
            if definition is not None:
                yield definition.name, self._effective[key], definition.description

    def set(self, name: str, text: str | None, *, local: bool) -> str:
        """Set a parameter (None: to its default), and return its new value as SHOW prints it.

        Raises SqlError 0A000 for what the profile does not allow, 42704 for an unknown parameter, 55P02
        for one that nobody can change, 22023 for a bad value.
        """
        key = name.lower()
        definition = self._settable(name, key, local)
        value = self._checked(key, definition, text)
        self._change()
        self._effective[key] = value
        if not local:
            self._session[key] = value
        self._derive()
        return value

    def _settable(self, name: str, key: str, local: bool) -> Definition | None:
        definition = DEFINITIONS.get(key)
        custom = definition is None and "." in key
        if self._refuses(key, local=local):
            raise setting_error(name)
        if custom:
            return None
        if definition is None:
            raise SqlError("42704", f'unrecognized configuration parameter "{name}"')
        if definition.internal:
            raise SqlError("55P02", f'parameter "{definition.name}" cannot be changed')
        return definition

    def _refuses(self, key: str, *, local: bool = False) -> bool:
        # asyncpg turns jit off, with set_config(), while it looks types up.
        return self.profile == DSQL and key != "jit" and setting_refused(key, local=local)

    def _checked(self, key: str, definition: Definition | None, text: str | None) -> str:
        if text is None:
            return self._defaults.get(key, "")
        if definition is None:
            return text
        if key == "datestyle":
            return merge_date_style(self._effective[key], text)
        if key == "search_path":
            split_names(text)
        if key == "default_transaction_isolation":
            return canonical_value(DEFINITIONS["transaction_isolation"], text)
        return canonical_value(definition, text)

    def reset_all(self) -> None:
        """Set everything that may be set back to the session's defaults."""
        self._change()
        kept = {name: self._session[name] for name in ("role", "session_authorization")}
        self._session = {**self._defaults, **kept}
        self._effective = dict(self._session)
        self._derive()

    def make_defaults(self, values: Mapping[str, str]) -> None:
        """Take values of the startup message for this session's defaults.

        Those that may not be set are ignored, as Aurora DSQL does for common ones; bad values raise.
        """
        for name, text in values.items():
            key = name.lower()
            definition = DEFINITIONS.get(key)
            if (definition is None and "." not in key) or (definition and definition.internal):
                continue
            if self._refuses(key):
                continue
            self._defaults[key] = self._checked(key, definition, text)
        self._session = dict(self._defaults)
        self._effective = dict(self._defaults)
        self._derive()

    def _change(self) -> None:
        if self._saved is None:
            self._saved = (dict(self._session), dict(self._effective))

    def snapshot(self) -> Snapshot:
        """Return what `restore` takes, for a savepoint."""
        self._change()
        return dict(self._session), dict(self._effective)

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a savepoint."""
        self._session, self._effective = dict(snapshot[0]), dict(snapshot[1])
        self._derive()

    def commit(self) -> None:
        """Keep what SET has changed and forget SET LOCAL. Cheap if nothing was changed."""
        if self._saved is not None:
            self._saved = None
            self._effective = dict(self._session)
            self._derive()

    def rollback(self) -> None:
        """Undo every change of the transaction. Cheap if nothing was changed."""
        if self._saved is not None:
            self.restore(self._saved)
            self._effective = dict(self._session)
            self._saved = None
            self._derive()

    def changed_reports(self) -> list[tuple[str, str]]:
        """Return (name, value) of the reported parameters that the client has not been told yet."""
        changed = []
        self.changed = False
        for key in REPORTED:
            value = self._effective[key]
            if self._reported[key] != value:
                self._reported[key] = value
                changed.append((DEFINITIONS[key].name, value))
        return changed
