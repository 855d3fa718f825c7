"""The parameters of one session: SET, SET LOCAL, RESET and SHOW, undone with their transaction.

There is one way to set a parameter, `Settings.set`, whatever road leads to it: SET in all its forms, RESET,
DISCARD, set_config(), the startup message, what ALTER ROLE has left. Each parameter is checked there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from dsql.catalog.catalog import Catalog
from dsql.catalog.schema import Role
from dsql.catalog.store import ADMIN
from dsql.errors import SqlError
from dsql.executor.memory import Bounds
from dsql.limits import STATEMENT_MEMORY_BYTES_MAX
from dsql.session.identity import check_session_authorization, settable_role
from dsql.session.isolation import PARAMETERS, Modes, mode_of
from dsql.session.parameters import (
    DEFAULTS,
    DEFINITIONS,
    REPORTED,
    VERSIONS,
    Definition,
    canonical_value,
    check_custom_name,
    following_profile,
    merge_date_style,
    parameter_key,
    split_names,
    unrecognized,
)
from dsql.session.record import (
    InvalidRecordError,
    SettingsRecord,
    ValuesRecord,
    ValuesRecords,
)
from dsql.sql.refusals import DSQL, setting_error, setting_refused
from dsql.types.text_encodings import TextEncoding, find_encoding
from dsql.types.type import FormatSettings
from dsql.wire.backend import encode_text

_SESSION_AUTHORIZATION, _ROLE, _PROFILE = "session_authorization", "role", "dsql.profile"
_IDENTITY = (_SESSION_AUTHORIZATION, _ROLE)
_KEPT_BY_RESET_ALL = (_ROLE, _SESSION_AUTHORIZATION, _PROFILE, *VERSIONS[DSQL])


@dataclass(slots=True)
class _Values:
    """The texts of all parameters by their keys, and the OID of the role that SET ROLE chose (0: none).

    Copies have the texts in common: who changes one makes new ones.
    """

    texts: Mapping[str, str]
    role: int = 0

    def copy(self) -> _Values:
        return _Values(self.texts, self.role)

    def change(self, texts: Mapping[str, str]) -> None:
        self.texts = _changed(self.texts, texts)


Snapshot = tuple[_Values, _Values]
_CHECKED_KINDS = ("bool", "enum", "integer", "real")


class Running(Protocol):
    """The transaction that runs, or would begin now: `dsql.session.block`."""

    @property
    def modes(self) -> Modes:
        """What it is, all of it said."""
        ...

    def set_modes(self, said: Modes) -> None:
        """Say something of it. Raises SqlError 25001."""
        ...


class Settings:
    """`generation` changes with everything that a plan may depend on.

    `_session` is what SET has made, `_effective` that with SET LOCAL on top. A transaction that changes
    something keeps what there was before in `_saved`.

    `encoding` is the client's, None for UTF-8, and `encode` writes a text in it.

    `session_role` is the OID of the role that logged in. Nobody is a superuser, so no session can become
    another role's by SET SESSION AUTHORIZATION. `catalog` finds the catalog in which roles are looked up.

    Some parameters are the running transaction's own (`belong_to`).
    """

    def __init__(
        self,
        profile: str,
        catalog: Callable[[], Catalog],
        *,
        session_role: Role = ADMIN,
        profile_changes: bool = False,
    ) -> None:
        self._base = DEFAULTS[profile]
        self._defaults = _Values(self._base)
        self._catalog = catalog
        self._profile_changes = profile_changes
        self._transaction: Running | None = None
        self._saved: Snapshot | None = None
        self._is_definer = False
        self._reported: dict[str, str | None] = dict.fromkeys(REPORTED)
        self._generations = count(1)  # none is used for two states
        self.encoding: TextEncoding | None = None
        self.encode = encode_text
        self._encoding_changed: Callable[[], None] = _nobody_cares
        self.identify(session_role)

    def identify(self, role: Role) -> None:
        """Make the session a role's, before its first statement."""
        assert self._saved is None
        self.session_role = role.oid
        self._defaults.change({_SESSION_AUTHORIZATION: role.name})
        self._session = self._defaults.copy()
        self._effective = self._defaults.copy()
        self._derive()

    def _derive(self) -> None:
        """Compute what others read on every statement."""
        values = self._effective.texts
        self.generation = next(self._generations)
        self.changed = True  # perhaps something the client has to be told
        self._speak(find_encoding(values["client_encoding"]))
        self.formats = FormatSettings(
            date_style=values["datestyle"],
            interval_style=values["intervalstyle"],
            time_zone=values["timezone"],
            extra_float_digits=int(values["extra_float_digits"]),
            bytea_output=values["bytea_output"],
            client_encoding="" if self.encoding is None else self.encoding.name,
        )
        self.profile = values[_PROFILE]
        self.statement_timeout_seconds = self._seconds("statement_timeout")
        self.lock_timeout_seconds = self._seconds("lock_timeout")
        self.transaction_timeout_seconds = self._seconds("transaction_timeout")
        self.idle_timeout_seconds = self._seconds("idle_session_timeout")
        self.idle_in_transaction_timeout_seconds = self._seconds(
            "idle_in_transaction_session_timeout"
        )
        self.bounds = self._bounds()
        self.default_modes = Modes(
            values["default_transaction_isolation"],
            values["default_transaction_read_only"] == "on",
            values["default_transaction_deferrable"] == "on",
        )
        self.search_path = tuple(split_names(values["search_path"]))

    def belong_to(self, transaction: Running) -> None:
        """Have what the transaction is shown and set there."""
        self._transaction = transaction

    def on_encoding(self, changed: Callable[[], None]) -> None:
        """Have `changed` called whenever `encoding` has become another one."""
        self._encoding_changed = changed

    def _speak(self, encoding: TextEncoding | None) -> None:
        if encoding is not self.encoding:
            self.encoding = encoding
            self.encode = encode_text if encoding is None else encoding.encoded
            self._encoding_changed()

    def take_apart(self) -> None:
        """Let go of all that knows these settings: the session is over."""
        self._transaction, self._encoding_changed = None, _nobody_cares

    @property
    def current_role(self) -> int:
        """The OID of the role whose rights count: SET ROLE's, else the session's."""
        return self._effective.role or self.session_role

    @property
    def plan_key(self) -> tuple[object, ...]:
        """What of the settings a plan depends on."""
        return (self.search_path, self.current_role, self.profile, self.formats)

    def get(self, name: str) -> str | None:
        """Return a value as SHOW prints it, None for an unknown parameter."""
        key = parameter_key(name)
        if key in PARAMETERS and self._transaction is not None:
            return self._transaction.modes.shown(key)
        return self._effective.texts.get(key)

    def show(self, name: str) -> str:
        """Return a value as SHOW prints it. Raises SqlError 42704."""
        value = self.get(name)
        if value is None:
            raise unrecognized(name)
        return value

    def _seconds(self, name: str) -> float:
        """Return a time parameter in seconds."""
        text = self._effective.texts[name]
        if text == "0":
            return 0.0
        digits = text.rstrip("abcdefghijklmnopqrstuvwxyz")
        factors = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
        return int(digits) * factors[text[len(digits) :]]

    def _bounds(self) -> Bounds:
        """Return what a statement may hold: fixed in the dsql profile, else as set."""
        if self.profile == DSQL:
            return Bounds()
        return Bounds(
            memory_max=STATEMENT_MEMORY_BYTES_MAX,
            work_max=min(self.bytes("work_mem"), STATEMENT_MEMORY_BYTES_MAX // 2),
            temporary_max=self.bytes("temp_file_limit"),
            documented=False,
        )

    def bytes(self, name: str) -> int:
        """Return a memory parameter in bytes."""
        text = self._effective.texts[name]
        digits = text.rstrip("kMGTB")
        factors = {"": 1024, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
        return int(digits) * factors[text[len(digits) :]]

    def all(self) -> Iterator[tuple[str, str, str]]:
        """Yield (name, value, description) of every parameter that SHOW ALL lists."""
        for key in sorted(self._effective.texts):
            definition = DEFINITIONS.get(key)
            if definition is not None:
                yield definition.name, self.show(key), definition.description

    def defaults(self) -> Mapping[str, str]:
        """Return what RESET makes of each parameter, by its key."""
        return self._defaults.texts

    # ------------------------------------------------------------ the one way to set a parameter

    def set(self, name: str, text: str | None, *, local: bool) -> str:
        """Set a parameter (None: to its default), and return its new value as SHOW prints it.

        Raises SqlError 0A000 for what the profile does not allow, 42704 for an unknown parameter, 42602 for
        a custom one's bad name, 55P02 and 42501 for one that this session cannot change, 22023 for a bad
        value or an unknown role, 42501 for a role that it may not become.
        """
        key, value, role = self._checked(name, text, local=local)
        if key in PARAMETERS and self._transaction is not None:
            self._transaction.set_modes(mode_of(key, value))
            return value
        self._change()
        _put(((self._effective,) if local else (self._effective, self._session)), key, value, role)
        self._derive()
        return value

    def set_default(self, name: str, text: str) -> None:
        """Set what a parameter is at the session's start, and what RESET goes back to. Raises as `set`."""
        assert self._saved is None
        key, value, role = self._checked(name, text, local=False)
        _put((self._defaults, self._session, self._effective), key, value, role)
        self._derive()

    def check(self, name: str, text: str | None) -> str:
        """Return the value that SET would give a parameter. Raises as `set`."""
        return self._checked(name, text, local=False)[1]

    def _checked(self, name: str, text: str | None, *, local: bool) -> tuple[str, str, int]:
        """Return a parameter's key, its new value, and the role that this makes the current one."""
        key = parameter_key(name)
        definition = self._settable(name, key, local, reset=text is None)
        if self._is_definer and key in _IDENTITY:
            message = f'cannot set parameter "{key}" within security-definer function'
            raise SqlError("42501", message)
        if key == _SESSION_AUTHORIZATION:
            if text is not None:
                check_session_authorization(self._catalog(), self.session_role, text)
            return key, self._defaults.texts[key], 0
        if text is None:
            text = self._defaults.texts.get(key, "")
        if definition is None:
            return key, text, 0
        if key == _ROLE:
            return key, text, settable_role(self._catalog, self.session_role, text)
        return key, self._canonical(key, definition, text), 0

    def _settable(self, name: str, key: str, local: bool, *, reset: bool) -> Definition | None:
        """Return the definition of a parameter that this session may set; None: a custom one."""
        if self.profile == DSQL and setting_refused(key, local=local, reset=reset):
            raise setting_error(name)
        definition = DEFINITIONS.get(key)
        if definition is None:
            check_custom_name(name)
            return None
        if definition.context == "internal":
            raise SqlError("55P02", f'parameter "{definition.name}" cannot be changed')
        allowed = definition.context == "user" or (
            definition.context == "cluster" and self._profile_changes
        )
        if not allowed:
            raise SqlError("42501", f'permission denied to set parameter "{definition.name}"')
        return definition

    def _canonical(self, key: str, definition: Definition, text: str) -> str:
        if key == "datestyle":
            return merge_date_style(self._effective.texts[key], text)
        if key == "search_path":
            split_names(text)
        return canonical_value(definition, text)

    def reset_all(self) -> None:
        """Set everything but the roles and the profile back to the session's defaults."""
        self._change()
        texts = self._session.texts
        kept = {name: texts[name] for name in _KEPT_BY_RESET_ALL}
        self._session = _Values(_changed(self._defaults.texts, kept), self._session.role)
        self._effective = self._session.copy()
        self._derive()

    @contextmanager
    def within(self, role: int, changes: Sequence[tuple[str, str]]) -> Iterator[None]:
        """While a function runs, be its owner (0: stay who one is) and have the values of its SET clauses.

        Who is made its owner stays that until then: nothing inside can become another role. What the
        function itself sets beyond that stays, as SET LOCAL does. If the statement is interrupted in the
        midst of this, its rollback restores what there was.
        """
        self._change()
        before, generation, was_definer = self._effective, self.generation, self._is_definer
        inside = before.copy()
        inside.change({parameter_key(name): text for name, text in changes})
        inside.role = role or before.role
        entered = inside.copy()
        try:
            self._effective = inside
            self._is_definer = was_definer or bool(role)
            self._derive()
            yield
        finally:
            self._is_definer = was_definer
            if self._effective is inside:
                before.change(_difference(entered.texts, inside.texts))
                self._effective = before
                self._derive()
                if inside.texts == entered.texts:
                    self.generation = generation

    # ------------------------------------------------------------ moves

    def record(self) -> SettingsRecord:
        """Return what another process needs; see `transaction_record` for the rest of it."""
        defaults, texts = self._defaults.texts, self._effective.texts
        reported = {key: told for key, told in self._reported.items() if told is not None}
        return SettingsRecord(
            self.session_role,
            self._effective.role,
            _difference(self._base, defaults),
            _difference(defaults, texts),
            _difference(texts, reported),
        )

    def transaction_record(self) -> ValuesRecords | None:
        """Return what a transaction has to keep apart, None if it has changed nothing."""
        if self._saved is None:
            return None
        return self._values_record(self._saved[0]), self._values_record(self._session)

    def snapshot_record(self, snapshot: Snapshot) -> ValuesRecords:
        """Return a savepoint's settings."""
        return self._values_record(snapshot[0]), self._values_record(snapshot[1])

    def _values_record(self, values: _Values) -> ValuesRecord:
        return ValuesRecord(_difference(self._defaults.texts, values.texts), values.role)

    def take_up_transaction(self, records: ValuesRecords | None) -> None:
        """Go on in a transaction of another process. Raises InvalidRecordError."""
        if records is not None:
            saved, self._session = self.restored_snapshot(records)
            self._saved = saved, saved.copy()

    def restored_snapshot(self, records: ValuesRecords) -> Snapshot:
        """Return what `snapshot_record` was made of. Raises InvalidRecordError."""
        return self._restored(records[0]), self._restored(records[1])

    def _restored(self, record: ValuesRecord | SettingsRecord) -> _Values:
        for key, text in record.changed.items():
            _check_recorded(key, text)
        return _Values(_changed(self._defaults.texts, record.changed), record.role)

    def take_up(self, record: SettingsRecord) -> None:
        """Go on with what another process has left. Raises InvalidRecordError."""
        for key, text in record.defaults.items():
            _check_recorded(key, text)
        self.session_role = record.session_role
        self._defaults = _Values(_changed(self._base, record.defaults))
        self._session = self._restored(record)
        self._effective = self._session.copy()
        told = {**self._effective.texts, **record.reported}
        self._reported = {key: told[key] for key in REPORTED}
        try:
            self._derive()
        except (SqlError, ValueError, KeyError) as error:
            raise InvalidRecordError(f"settings without a meaning: {error}") from None
        self.changed = bool(record.reported)

    # ------------------------------------------------------------ transactions

    def _change(self) -> None:
        if self._saved is None:
            self._saved = self._copies()

    def _copies(self) -> Snapshot:
        return self._session.copy(), self._effective.copy()

    def snapshot(self) -> Snapshot:
        """Return what `restore` takes, for a savepoint."""
        self._change()
        return self._copies()

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a savepoint."""
        self._session, self._effective = snapshot[0].copy(), snapshot[1].copy()
        self._derive()

    def commit(self) -> None:
        """Keep what SET has changed and forget SET LOCAL. Cheap if nothing was changed."""
        if self._saved is not None:
            self._saved = None
            self._effective = self._session.copy()
            self._derive()

    def rollback(self) -> None:
        """Undo every change of the transaction. Cheap if nothing was changed."""
        if self._saved is not None:
            self._session = self._saved[0]
            self._effective = self._session.copy()
            self._saved = None
            self._derive()

    def changed_reports(self) -> list[tuple[str, str]]:
        """Return (name, value) of the reported parameters that the client has not been told yet."""
        changed = []
        self.changed = False
        for key in REPORTED:
            value = self._effective.texts[key]
            if self._reported[key] != value:
                self._reported[key] = value
                changed.append((DEFINITIONS[key].name, value))
        return changed


def _nobody_cares() -> None:
    """The session does not run yet."""


def _put(all_values: Iterable[_Values], key: str, text: str, role: int) -> None:
    """Store a value. Whoever sets the session's authorization gives up the role of SET ROLE."""
    texts = {key: text}
    if key == _SESSION_AUTHORIZATION:
        texts[_ROLE] = "none"
    before: Mapping[str, str] | None = None
    after: Mapping[str, str] = texts
    for values in all_values:
        if values.texts is not before:
            before, after = values.texts, _changed(values.texts, texts)
            if key == _PROFILE:
                after = following_profile(after, text)
        values.texts = after
        if key in (_ROLE, _SESSION_AUTHORIZATION):
            values.role = role


def _changed(texts: Mapping[str, str], changes: Mapping[str, str]) -> Mapping[str, str]:
    """Return texts with changes; the very same if there are none."""
    return {**texts, **changes} if changes else texts


def _difference(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return what `after` says otherwise."""
    return {key: text for key, text in after.items() if before.get(key) != text}


def _check_recorded(key: str, text: str) -> None:
    """Raise InvalidRecordError for a value that no parameter of this name can have."""
    definition = DEFINITIONS.get(key)
    try:
        if definition is None:
            check_custom_name(key)
        elif definition.kind in _CHECKED_KINDS and text != definition.default:
            canonical_value(definition, text)
    except SqlError as error:
        raise InvalidRecordError(error.message) from None
