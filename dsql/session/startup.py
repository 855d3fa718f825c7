"""The first words of a session: startup parameters taken in, AuthenticationOk to ReadyForQuery sent."""

from __future__ import annotations

from dsql.catalog.schema import Role
from dsql.catalog.store import ADMIN
from dsql.errors import FatalError, SqlError
from dsql.session.handed import HandedSession
from dsql.session.parameters import DEFINITIONS, parameter_key, unrecognized
from dsql.session.role_settings import begin_with
from dsql.session.settings import Settings
from dsql.session.state import SessionState
from dsql.sql.refusals import DSQL, setting_refused
from dsql.wire import backend

# Startup parameters that are no session parameters.
_OTHER = frozenset(("user", "database", "options", "replication"))


def greet(state: SessionState, handed: HandedSession) -> None:
    """Let the user in, apply the startup parameters and append the greeting.

    Raises FatalError for a user who is not let in and for a parameter that cannot be set.
    """
    out = state.out
    try:
        role = _admitted_role(state, handed)
        state.settings.identify(role)
        begin_with(state.settings, role)
        _set_parameters(state.settings, handed.parameters)
    except SqlError as error:
        raise FatalError(
            error.sqlstate, error.message, detail=error.detail, hint=error.hint
        ) from None
    finally:
        state.block.rollback()
    out += backend.AUTHENTICATION_OK
    report_changes(state)
    out += backend.backend_key_data(handed.process_id, handed.secret_key)
    out += backend.READY_IDLE


def _admitted_role(state: SessionState, handed: HandedSession) -> Role:
    """Return the user's role, unless it may not log in or is not mapped to whoever signed the token.

    The relay has verified the token, and that only DbConnectAdmin opens the door to admin. What is
    wrong with a role is not told apart: nobody should find out in this way which roles there are.
    """
    user, identity = handed.user, handed.identity
    role = state.block.catalog.roles.get(user)
    if user == ADMIN.name:
        assert role is not None, "every catalog has admin"
        return role
    if role is None or not role.login or identity not in role.arns:
        raise FatalError(
            "28000",
            "unable to accept connection, access denied",
            hint=f"There is no role {user} that {identity} may connect as (see AWS IAM GRANT).",
        )
    return role


def _set_parameters(settings: Settings, parameters: dict[str, str]) -> None:
    """Set the startup parameters.

    The dsql profile ignores those of PostgreSQL that it does not let anybody set: drivers send some.
    """
    for name, text in _parameters(parameters).items():
        key = parameter_key(name)
        if settings.profile == DSQL and setting_refused(key):
            if key not in DEFINITIONS:
                raise unrecognized(name)
            continue
        settings.set_default(name, text)


def report_changes(state: SessionState) -> None:
    """Append ParameterStatus for each reported parameter that has changed since the last time."""
    for name, value in state.settings.changed_reports():
        state.out += backend.parameter_status(name, value, state.settings.encode)


def _parameters(given: dict[str, str]) -> dict[str, str]:
    """Return the session parameters of a StartupMessage, those in `options` included."""
    values = {name: value for name, value in given.items() if name not in _OTHER}
    return parse_options(given.get("options", "")) | values


def parse_options(text: str) -> dict[str, str]:
    """Read `-c name=value`, `-cname=value` and `--name=value`; a backslash quotes the next character.

    Raises FatalError 42601 for anything else.
    """
    words = iter(_split_words(text))
    values = {}
    for word in words:
        if word == "-c":
            setting = next(words, "")
        elif word.startswith("-c"):
            setting = word[2:]
        elif word.startswith("--"):
            setting = word[2:].replace("-", "_")
        else:
            raise FatalError("42601", f"invalid command-line argument for server process: {word}")
        name, equals, value = setting.partition("=")
        if not equals:
            raise FatalError("42601", f"-c {setting} requires a value")
        if name.replace("_", "-") != "amzn-cluster-id":  # the relay's, who has used it
            values[name] = value
    return values


def _split_words(text: str) -> list[str]:
    words: list[str] = []
    word: list[str] = []
    characters = iter(text)
    for character in characters:
        if character.isspace():
            if word:
                words.append("".join(word))
                word = []
        else:
            word.append(next(characters, "") if character == "\\" else character)
    if word:
        words.append("".join(word))
    return words
