"""EXPLAIN for programs: a plan as JSON, YAML or XML, laid out as PostgreSQL does.

A document is nested mappings and lists of str, int, bool and Decimal (numbers with their digits).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from xml.sax.saxutils import escape

from dsql.planner.explain import Shown, Style

Document = Mapping[str, Any]

_XML_NAMESPACE = "http://www.postgresql.org/2009/explain"


def decimal(value: float, places: int) -> Decimal:
    """Return a number as it is to be written."""
    return Decimal(f"{value:.{places}f}")


def document(shown: Shown, style: Style) -> dict[str, Any]:
    """Return a node and all below it, with PostgreSQL's names."""
    kind, *others = shown.properties
    found = dict([kind, ("Parallel Aware", False), ("Async Capable", False), *others])
    if style.costs:
        estimate = shown.estimate
        found["Startup Cost"] = decimal(estimate.startup, 2)
        found["Total Cost"] = decimal(estimate.total, 2)
        found["Plan Rows"] = round(estimate.rows)
        found["Plan Width"] = estimate.width
    if shown.actual is not None:
        loops = max(shown.actual.loops, 1)
        if style.timing:
            found["Actual Startup Time"] = decimal(shown.actual.startup * 1e3 / loops, 3)
            found["Actual Total Time"] = decimal(shown.actual.total * 1e3 / loops, 3)
        found["Actual Rows"] = round(shown.actual.rows / loops)
        found["Actual Loops"] = shown.actual.loops
    found |= shown.details
    plans = [_related(document(below, style), name) for below, name in _below(shown)]
    if plans:
        found["Plans"] = plans
    return found


def _below(shown: Shown) -> Iterator[tuple[Shown, Document]]:
    for title, below in shown.first:
        yield below, {"Parent Relationship": "InitPlan", "Subplan Name": title}
    for number, below in enumerate((*shown.storage, *shown.below)):
        yield below, {"Parent Relationship": "Inner" if number else "Outer"}
    for title, below in shown.last:
        yield below, {"Parent Relationship": "SubPlan", "Subplan Name": title}


def _related(plan: dict[str, Any], relation: Document) -> dict[str, Any]:
    """Return a plan with its relation to the one above behind its kind, where PostgreSQL has it."""
    kind = {"Node Type": plan["Node Type"]}
    return {**kind, **relation, **plan}


def to_json(query: Document) -> str:
    """Return a document of one query as JSON."""
    return "[\n  " + _json(query, 2) + "\n]"


def _json(value: Any, depth: int) -> str:
    margin = " " * (depth + 2)
    if isinstance(value, Mapping):
        items = [
            f"{margin}{_scalar(name)}: {_json(item, depth + 2)}" for name, item in value.items()
        ]
        return "{\n" + ",\n".join(items) + "\n" + " " * depth + "}"
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        items = [margin + _json(item, depth + 2) for item in value]
        return "[\n" + ",\n".join(items) + "\n" + " " * depth + "]"
    if isinstance(value, list):
        return "[" + ", ".join(map(_scalar, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    return str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False)


def to_yaml(query: Document) -> str:
    """Return a document of one query as YAML."""
    lines = list(_yaml(query, 2))
    lines[0] = "- " + lines[0][2:]
    return "\n".join(lines)


def _yaml(mapping: Document, depth: int) -> Iterator[str]:
    margin = " " * depth
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield f"{margin}{name}: "
            yield from _yaml(value, depth + 2)
        elif isinstance(value, list):
            yield f"{margin}{name}: "
            for item in value:
                first, *rest = (
                    _yaml(item, depth + 4) if isinstance(item, Mapping) else (_scalar(item),)
                )
                yield f"{margin}  - {first.lstrip()}"
                yield from rest
        else:
            yield f"{margin}{name}: {_scalar(value)}"


def to_xml(query: Document) -> str:
    """Return a document of one query as XML."""
    lines = [f'<explain xmlns="{_XML_NAMESPACE}">', "  <Query>"]
    lines += [line for name, value in query.items() for line in _xml(name, value, 4)]
    return "\n".join([*lines, "  </Query>", "</explain>"])


def _xml(name: str, value: Any, depth: int) -> Iterator[str]:
    margin, tag = " " * depth, name.replace(" ", "-")
    if isinstance(value, Mapping):
        yield f"{margin}<{tag}>"
        for inner, item in value.items():
            yield from _xml(inner, item, depth + 2)
        yield f"{margin}</{tag}>"
    elif isinstance(value, list):
        yield f"{margin}<{tag}>"
        for item in value:
            yield from _xml("Plan" if isinstance(item, Mapping) else "Item", item, depth + 2)
        yield f"{margin}</{tag}>"
    else:
        text = value if isinstance(value, str) else _scalar(value)
        yield f"{margin}<{tag}>{escape(text)}</{tag}>"


FORMATS = {"json": to_json, "yaml": to_yaml, "xml": to_xml}
