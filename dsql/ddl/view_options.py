"""Lists of WITH (...) options, and those of views: security_barrier, security_invoker and check_option."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dsql.ddl import nodes
from dsql.errors import SqlError

Options = tuple[tuple[str, str], ...]

_FLAGS = ("security_barrier", "security_invoker")
_BOOLEANS = frozenset(("true", "false", "on", "off", "yes", "no", "1", "0", "t", "f", "y", "n"))


def set_options(
    before: Options, elements: Iterable[Any], read: Callable[[str, Any], str]
) -> Options:
    """Return options with those of a SET or WITH list, as `read`. Raises SqlError 22023."""
    given: dict[str, str] = {}
    for wrapped in elements:
        element = nodes.inner(wrapped)
        name = element.defname
        if name in given:
            raise SqlError("22023", f'parameter "{name}" specified more than once')
        given[name] = read(name, element)
    return (*((name, value) for name, value in before if name not in given), *given.items())


def reset_options(before: Options, elements: Iterable[Any]) -> Options:
    """Return options without those of a RESET list. Raises SqlError 42601, 22023."""
    names = set()
    for wrapped in elements:
        element = nodes.inner(wrapped)
        if element.HasField("arg"):
            raise SqlError("42601", "RESET must not include values for parameters")
        names.add(element.defname)
    return tuple(option for option in before if option[0] not in names)


def with_check_option(before: Options, node: Any) -> Options:
    """Return options with what a ViewStmt's WITH ... CHECK OPTION adds to them."""
    kind = nodes.enum_name(node, "with_check_option").removesuffix("_CHECK_OPTION").lower()
    if kind not in ("local", "cascaded"):
        return before
    if "check_option" in dict(before):
        raise SqlError("22023", 'parameter "check_option" specified more than once')
    return (*before, ("check_option", kind))


def read_view_option(name: str, element: Any) -> str:
    """Return the text of a view's option. Raises SqlError 22023."""
    value = nodes.option_value(element)
    text = "true" if value is None else str(value).lower() if value is True else str(value)
    if name in _FLAGS:
        if text.lower() not in _BOOLEANS:
            raise SqlError("22023", f'invalid value for boolean option "{name}": {text}')
    elif name == "check_option":
        if text.lower() not in ("local", "cascaded"):
            raise SqlError(
                "22023",
                f'invalid value for enum option "check_option": {text}',
                detail='Valid values are "local" and "cascaded".',
            )
    else:
        raise SqlError("22023", f'unrecognized parameter "{name}"')
    return text
