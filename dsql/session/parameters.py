"""The session parameters there are: names, kinds, bounds, and how a value is checked and spelled.

The list is PostgreSQL's (`parameters.tsv`), less what makes no sense here, plus our own. `lock_timeout`
ends waits for advisory locks; there are no others. Which of them the dsql profile allows to be set is in
`dsql.sql.refusals`. Names with a dot are a user's own. How a parameter is set, and by whom, is in
`dsql.session.settings`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping
from importlib.resources import files

import msgspec

from dsql.errors import SqlError
from dsql.session.conversion import client_encoding
from dsql.types.timezone import find_zone

# What the client is told about unasked, in the order in which a new session says it (GUC_REPORT).
REPORTED = (
    "in_hot_standby",
    "integer_datetimes",
    "timezone",
    "intervalstyle",
    "is_superuser",
    "application_name",
    "default_transaction_read_only",
    "standard_conforming_strings",
    "datestyle",
    "session_authorization",
    "client_encoding",
    "server_version",
    "server_encoding",
)

# Which PostgreSQL each profile follows. Tools choose their catalog queries by it: pg_dump serves no server
# newer than itself.
VERSIONS = {
    "dsql": {"server_version": "16.15", "server_version_num": "160015"},
    "postgres": {"server_version": "15.18", "server_version_num": "150018"},
}
# What else a profile has other defaults of than `parameters.tsv`.
_PROFILE_DEFAULTS = {
    "dsql": VERSIONS["dsql"],
    "postgres": VERSIONS["postgres"]
    | dict.fromkeys(("transaction_isolation", "default_transaction_isolation"), "read committed")
    | {"default_table_access_method": "heap"},
}
# Clients of PostgreSQL ask for these; Aurora DSQL does not have them.
_ABSENT = {
    "dsql": {"lc_collate", "lc_ctype", "max_connections", "max_prepared_transactions", "ssl"},
    "postgres": set[str](),
}


class Definition(msgspec.Struct, frozen=True):
    """One parameter. `name` is its own spelling; bounds are in `unit`.

    `context` is who may set it: "user" everyone, "superuser" and "internal" nobody here, "cluster" everyone
    of a cluster that allows it.
    """

    name: str
    kind: str  # bool, integer, real, enum, string
    context: str
    unit: str
    minimum: float
    maximum: float
    values: tuple[str, ...]
    default: str
    description: str


def _read_definitions() -> dict[str, Definition]:
    definitions = {}
    text = files("dsql.session").joinpath("parameters.tsv").read_text()
    for line in text.splitlines()[1:]:
        name, kind, context, unit, low, high, values, default, description = line.split("\t")
        definitions[name.lower()] = Definition(
            name,
            kind,
            context,
            unit,
            float(low or "-inf"),
            float(high or "inf"),
            tuple(values.split(",")) if values else (),
            default,
            description,
        )
    return definitions


DEFINITIONS = _read_definitions()


def _profile_defaults(profile: str) -> dict[str, str]:
    texts = {key: definition.default for key, definition in DEFINITIONS.items()}
    texts |= {"dsql.profile": profile} | _PROFILE_DEFAULTS[profile]
    return {key: text for key, text in texts.items() if key not in _ABSENT[profile]}


# What a session of each profile begins with, by the parameters' keys.
DEFAULTS = {profile: _profile_defaults(profile) for profile in _PROFILE_DEFAULTS}
_OF_PROFILES = {key for key, _ in DEFAULTS["dsql"].items() ^ DEFAULTS["postgres"].items()}


def following_profile(texts: Mapping[str, str], profile: str) -> dict[str, str]:
    """Return settings with all that differs between profiles as a profile has it at a session's start."""
    kept = {key: text for key, text in texts.items() if key not in _OF_PROFILES}
    return kept | {key: text for key, text in DEFAULTS[profile].items() if key in _OF_PROFILES}


_OLD_NAMES = {"sort_mem": "work_mem", "vacuum_mem": "maintenance_work_mem"}
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_CUSTOM_NAME = re.compile(r"[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*", re.ASCII)
_RESERVED_PREFIX = "dsql"


def parameter_key(name: str) -> str:
    """Return what equal names have in common: only ASCII letters fold (PostgreSQL's guc_name_compare)."""
    key = name.translate(_LOWER)
    return _OLD_NAMES.get(key, key)


def check_custom_name(name: str) -> None:
    """Raise SqlError 42704 for a name that is no parameter's, 42602 for one that no custom one can have."""
    if "." not in name:
        raise unrecognized(name)
    detail = ""
    if not all(map(_CUSTOM_NAME.fullmatch, name.split("."))):
        detail = "Custom parameter names must be two or more simple identifiers separated by dots."
    elif name.split(".")[0] == _RESERVED_PREFIX:
        detail = f'"{_RESERVED_PREFIX}" is a reserved prefix.'
    if detail:
        raise SqlError("42602", f'invalid configuration parameter name "{name}"', detail=detail)


def unrecognized(name: str) -> SqlError:
    """Return the error of a name that no parameter has."""
    return SqlError("42704", f'unrecognized configuration parameter "{name}"')


def canonical_value(definition: Definition, text: str) -> str:
    """Check a value and return it as SHOW prints it. Raises SqlError 22023."""
    special = _SPECIAL.get(parameter_key(definition.name))
    if special is not None:
        return special(text)
    return _KINDS[definition.kind](definition, text)


def in_base_unit(definition: Definition, text: str) -> str:
    """Return a value as pg_settings shows it: a number without its unit."""
    if definition.kind != "integer" or not definition.unit:
        return text
    return str(int(_parse_number(definition, text)))


def invalid_value(name: str, text: str, hint: str = "") -> SqlError:
    """Return PostgreSQL's error for a value that a parameter cannot take."""
    return SqlError("22023", f'invalid value for parameter "{name}": "{text}"', hint=hint)


def _boolean(definition: Definition, text: str) -> str:
    word = text.strip().lower()
    if (word and any(full.startswith(word) for full in ("true", "yes"))) or word in ("on", "1"):
        return "on"
    if (word and any(full.startswith(word) for full in ("false", "no"))) or word in (
        "of",
        "off",
        "0",
    ):
        return "off"
    raise SqlError("22023", f'parameter "{definition.name}" requires a Boolean value')


def _enum(definition: Definition, text: str) -> str:
    word = text.lower()
    if word in definition.values:
        return word
    if set(definition.values) >= {"on", "off"} and word in _BOOLEAN_WORDS:
        return "on" if _BOOLEAN_WORDS[word] else "off"
    available = ", ".join(definition.values)
    raise invalid_value(definition.name, text, f"Available values: {available}.")


_BOOLEAN_WORDS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _string(_definition: Definition, text: str) -> str:
    return text


_TIME_UNITS = {"us": 0.001, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
_MEMORY_UNITS = {"B": 1 / 1024, "kB": 1.0, "MB": 1024.0, "GB": 1024.0**2, "TB": 1024.0**3}
_NUMBER = re.compile(
    r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|0[xX][0-9a-fA-F]+)\s*([A-Za-z]*)\s*"
)


def _units(unit: str) -> tuple[dict[str, float], float]:
    """Return the family of a base unit and how much the base unit is in it."""
    if unit in _TIME_UNITS:
        return _TIME_UNITS, _TIME_UNITS[unit]
    if unit == "8kB":
        return _MEMORY_UNITS, 8.0
    return (_MEMORY_UNITS, _MEMORY_UNITS[unit]) if unit else ({}, 1.0)


def _parse_number(definition: Definition, text: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise invalid_value(definition.name, text)
    digits, suffix = match.groups()
    value = float(int(digits, 16)) if digits[:2].lower() == "0x" else float(digits)
    family, base = _units(definition.unit)
    if suffix:
        if suffix not in family:
            names = ", ".join(f'"{name}"' for name in family)
            hint = f"Valid units for this parameter are {names}." if family else ""
            raise invalid_value(definition.name, text, hint)
        value = value * family[suffix] / base
    if definition.kind == "integer":
        value = float(round(value))
    if not definition.minimum <= value <= definition.maximum:
        unit = f" {definition.unit}" if definition.unit else ""
        raise SqlError(
            "22023",
            f'{value:.15g}{unit} is outside the valid range for parameter "{definition.name}" '
            f"({definition.minimum:.15g} .. {definition.maximum:.15g})",
        )
    return value


def _integer(definition: Definition, text: str) -> str:
    value = int(_parse_number(definition, text))
    if not definition.unit or value <= 0:
        return str(value)
    family, base = _units(definition.unit)
    for name, size in sorted(family.items(), key=lambda item: -item[1]):
        count = value * base / size
        if count == int(count) and count >= 1:
            return f"{int(count)}{name}"
    return str(value)


def _real(definition: Definition, text: str) -> str:
    return f"{_parse_number(definition, text):.15g}"


_KINDS: dict[str, Callable[[Definition, str], str]] = {
    "bool": _boolean,
    "enum": _enum,
    "string": _string,
    "integer": _integer,
    "real": _real,
}

_INTERVAL_ZONE = re.compile(r"[-+]?\d+(?:\.\d+)?")


def _time_zone(text: str) -> str:
    if _INTERVAL_ZONE.fullmatch(text):
        # A bare number of hours east of UTC; PostgreSQL spells it as a POSIX zone, with the sign turned.
        return _hours_zone(float(text))
    zone = find_zone(text)
    if zone is None:
        raise invalid_value("TimeZone", text)
    return zone.name


def _hours_zone(hours: float) -> str:
    if abs(hours) > 167:
        raise invalid_value("TimeZone", f"{hours:g}")
    minutes = round(abs(hours) * 60)
    sign, turned = ("+", "-") if hours >= 0 else ("-", "+")
    size = f"{minutes // 60:02d}" + (f":{minutes % 60:02d}" if minutes % 60 else "")
    return f"<{sign}{size}>{turned}{size}"


_DATE_FORMATS = {"iso": "ISO", "sql": "SQL", "postgres": "Postgres", "german": "German"}
_DATE_ORDERS = {
    "ymd": "YMD",
    "dmy": "DMY",
    "euro": "DMY",
    "european": "DMY",
    "mdy": "MDY",
    "us": "MDY",
    "noneuro": "MDY",
    "noneuropean": "MDY",
}


def merge_date_style(current: str, text: str) -> str:
    """Return the DateStyle that `text`, which may name one part only, makes of `current`."""
    form, order = current.split(", ")
    for word in (part.strip().strip('"').lower() for part in text.split(",")):
        if word == "default":
            form, order = "ISO", "MDY"
        elif word in _DATE_ORDERS:
            order = _DATE_ORDERS[word]
        else:
            chosen = next((_DATE_FORMATS[name] for name in _DATE_FORMATS if word == name), None)
            if chosen is None:
                raise invalid_value("DateStyle", text)
            form = chosen
            if chosen == "German":
                order = "DMY"
    return f"{form}, {order}"


_SPECIAL: dict[str, Callable[[str], str]] = {
    "timezone": _time_zone,
    "client_encoding": client_encoding,
}


def split_names(text: str) -> list[str]:
    """Split a list of identifiers such as search_path. Raises SqlError 22023."""
    names = []
    for part in _NAME.finditer(text):
        quoted, plain, _ = part.groups()
        names.append(quoted.replace('""', '"') if quoted is not None else plain.lower())
        if part.end() == len(text) and not part.group(3):
            return names
    if text.strip() == "":
        return []
    raise SqlError("22023", 'invalid value for parameter "search_path": "' + text + '"')


_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^\s,"]+))\s*(,|$)')
