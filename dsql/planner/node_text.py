"""What EXPLAIN calls the nodes of a plan, and the lines that say how each of them does its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dsql.planner import plan as p
from dsql.planner.expression_text import Namer
from dsql.sql.bound import SortKey
from dsql.types.identifier import quote_identifier


def label(node: p.Node, *, verbose: bool, covered: bool) -> str:
    """Return what a node is called.

    `verbose` names tables with their schemas; `covered`: it is a scan of index entries alone.
    """
    table = getattr(node, "relation" if isinstance(node, p.VirtualScan) else "table", None)
    target = ""
    if table is not None:
        shown = f"{quote_identifier(table.schema)}.{table.name}" if verbose else table.name
        alias = getattr(node, "alias", table.name)
        target = shown if alias == table.name else f"{shown} {alias}"
    text = _LABELS[type(node)](node, target)
    return text.replace("Index Scan", "Index Only Scan", 1) if covered else text


def details(text: Namer, node: p.Node) -> Iterator[str]:
    """Yield the lines under a node that say how it does its work."""
    find = _DETAILS.get(type(node))
    if find is not None:
        yield from find(text, node)


def _scan_label(node: Any, target: str) -> str:
    backward = " Backward" if node.reverse else ""
    if node.index is None or (node.index.primary and node.access.whole and not node.reverse):
        return f"Full Scan (btree-table) on {target}"
    if node.index.primary:
        return f"Index Only Scan{backward} using {node.index.name} on {target}"
    return f"Index Scan{backward} using {node.index.name} on {target}"


def _join_word(kind: str) -> str:
    return "" if kind == "inner" else f" {kind.capitalize()}"


def _aggregate_label(node: Any, _target: str) -> str:
    if len(node.sets) > 1:
        return "MixedAggregate"
    return "HashAggregate" if node.keys else "Aggregate"


def _set_label(node: Any, _target: str) -> str:
    if node.operator.lower() == "union":
        return "Append" if node.all else "HashAggregate"
    word = f"HashSetOp {node.operator.capitalize()}"
    return word + (" All" if node.all else "")


def _cte_label(node: Any, _target: str) -> str:
    if node.working:
        return f"WorkTable Scan on {node.name}"
    alias = "" if node.alias == node.name else f" {node.alias}"
    return f"CTE Scan on {node.name}{alias}"


_LABELS: dict[type, Callable[[Any, str], str]] = {
    p.Result: lambda _, __: "Result",
    p.Scan: _scan_label,
    p.VirtualScan: lambda _, target: f"Seq Scan on {target}",
    p.FunctionScan: lambda n, _: f"Function Scan on {n.alias}",
    p.ValuesScan: lambda n, _: "Result" if len(n.rows) == 1 else f'Values Scan on "{n.alias}"',
    p.SubqueryScan: lambda n, _: f"Subquery Scan on {n.alias}",
    p.CteScan: _cte_label,
    p.ProjectSet: lambda _, __: "ProjectSet",
    p.HashJoin: lambda n, _: f"Hash{_join_word(n.kind)} Join",
    p.NestedLoop: lambda n, _: f"Nested Loop{_join_word(n.kind)}{' Join' * (n.kind != 'inner')}",
    p.AggregateNode: _aggregate_label,
    p.WindowNode: lambda _, __: "WindowAgg",
    p.Sort: lambda _, __: "Sort",
    p.Limit: lambda _, __: "Limit",
    p.Distinct: lambda n, _: "Unique" if n.on else "HashAggregate",
    p.SetOperationNode: _set_label,
    p.LockRows: lambda _, __: "LockRows",
    p.InsertNode: lambda _, target: f"Insert on {target}",
    p.UpdateNode: lambda _, target: f"Update on {target}",
    p.DeleteNode: lambda _, target: f"Delete on {target}",
}


def _scan_details(text: Namer, node: Any) -> Iterator[str]:
    if node.access.conditions:
        yield f"Index Cond: {text.conjunction(node.access.conditions)}"


def _filter_details(text: Namer, node: Any) -> Iterator[str]:
    if node.filter:
        yield f"Filter: {text.conjunction(node.filter)}"


def _hash_details(text: Namer, node: Any) -> Iterator[str]:
    if node.hash_conditions:
        yield f"Hash Cond: {text.conjunction(node.hash_conditions)}"
    if node.conditions:
        yield f"Join Filter: {text.conjunction(node.conditions)}"


def _loop_details(text: Namer, node: Any) -> Iterator[str]:
    if node.conditions:
        yield f"Join Filter: {text.conjunction(node.conditions)}"


def _aggregate_details(text: Namer, node: Any) -> Iterator[str]:
    if len(node.sets) > 1:
        for members in node.sets:
            names = [text(node.keys[member][1]) for member in members]
            yield f"Hash Key: {', '.join(names)}" if names else "Group Key: ()"
    elif node.keys:
        yield f"Group Key: {', '.join(text(item) for _, item in node.keys)}"


def _sort_details(text: Namer, node: Any) -> Iterator[str]:
    yield f"Sort Key: {', '.join(_sort_key(text, key) for key in node.keys)}"


def _sort_key(text: Namer, key: SortKey) -> str:
    words = text(key.expression)
    if key.descending:
        words += " DESC"
    if key.nulls_first != key.descending:
        words += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
    return words


def _distinct_details(text: Namer, node: Any) -> Iterator[str]:
    if not node.on:
        yield f"Group Key: {', '.join(text(item) for item in node.expressions)}"


_DETAILS: dict[type, Callable[[Namer, Any], Iterator[str]]] = {
    p.Scan: _scan_details,
    p.VirtualScan: _filter_details,
    p.HashJoin: _hash_details,
    p.NestedLoop: _loop_details,
    p.AggregateNode: _aggregate_details,
    p.Sort: _sort_details,
    p.Distinct: _distinct_details,
}
