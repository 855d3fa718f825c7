"""What EXPLAIN calls the nodes of a plan, and the lines that say how each of them does its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from dsql.planner import plan as p
from dsql.planner.expression_text import Namer
from dsql.sql.bound import SortKey
from dsql.types.identifier import quote_identifier

Pair = tuple[str, Any]


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


def properties(node: p.Node, name: str, *, verbose: bool) -> Iterator[Pair]:
    """Yield what programs ask about a node, whose label is `name`, in PostgreSQL's terms."""
    kind, _, _ = name.partition(" on " if isinstance(node, _READS) else "\0")
    kind, _, index = kind.partition(" using ")
    yield "Node Type", _NODE_TYPES.get(type(node)) or kind.replace(" Backward", "")
    if isinstance(node, p.AggregateNode):
        yield "Strategy", "Mixed" if len(node.sets) > 1 else "Hashed" if node.keys else "Plain"
    if isinstance(node, p.Modification):
        yield "Operation", kind
    if isinstance(node, p.HashJoin | p.NestedLoop):
        yield "Join Type", node.kind.capitalize()
    if index:
        yield "Scan Direction", "Backward" if " Backward" in kind else "Forward"
        yield "Index Name", index
    if isinstance(node, p.CteScan):
        yield "CTE Name", node.name
    table = getattr(node, "relation" if isinstance(node, p.VirtualScan) else "table", None)
    if table is not None:
        yield "Relation Name", table.name
        if verbose:
            yield "Schema", table.schema
    if isinstance(node, _READS) and kind != "Result":
        yield "Alias", node.alias


_READS = (
    p.Scan,
    p.VirtualScan,
    p.FunctionScan,
    p.ValuesScan,
    p.SubqueryScan,
    p.CteScan,
    p.Modification,
)
_NODE_TYPES: dict[type, str] = {
    p.HashJoin: "Hash Join",
    p.NestedLoop: "Nested Loop",
    p.AggregateNode: "Aggregate",
    p.InsertNode: "ModifyTable",
    p.UpdateNode: "ModifyTable",
    p.DeleteNode: "ModifyTable",
    p.MergeNode: "ModifyTable",
}


def details(text: Namer, node: p.Node) -> Iterator[Pair]:
    """Yield what says how a node does its work: names, and texts or lists of them."""
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
    p.Materialize: lambda _, __: "Materialize",
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
    p.MergeNode: lambda _, target: f"Merge on {target}",
}


def _scan_details(text: Namer, node: Any) -> Iterator[Pair]:
    if node.access.conditions:
        yield "Index Cond", text.conjunction(node.access.conditions)


def _filter_details(text: Namer, node: Any) -> Iterator[Pair]:
    if node.filter:
        yield "Filter", text.conjunction(node.filter)


def _hash_details(text: Namer, node: Any) -> Iterator[Pair]:
    if node.hash_conditions:
        yield "Hash Cond", text.conjunction(node.hash_conditions)
    yield from _loop_details(text, node)


def _materialize_details(text: Namer, node: Any) -> Iterator[Pair]:
    if node.hash_conditions:
        yield "Hash Cond", text.conjunction(node.hash_conditions)
    if node.conditions:
        yield "Filter", text.conjunction(node.conditions)


def _loop_details(text: Namer, node: Any) -> Iterator[Pair]:
    if node.conditions:
        yield "Join Filter", text.conjunction(node.conditions)


def _aggregate_details(text: Namer, node: Any) -> Iterator[Pair]:
    if len(node.sets) > 1:
        for members in node.sets:
            names = [text(node.keys[member][1]) for member in members]
            yield ("Hash Key", names) if names else ("Group Key", "()")
    elif node.keys:
        yield "Group Key", [text(item) for _, item in node.keys]


def _sort_details(text: Namer, node: Any) -> Iterator[Pair]:
    yield "Sort Key", [_sort_key(text, key) for key in node.keys]


def _sort_key(text: Namer, key: SortKey) -> str:
    words = text(key.expression)
    if key.descending:
        words += " DESC"
    if key.nulls_first != key.descending:
        words += " NULLS FIRST" if key.nulls_first else " NULLS LAST"
    return words


def _distinct_details(text: Namer, node: Any) -> Iterator[Pair]:
    if not node.on:
        yield "Group Key", [text(item) for item in node.expressions]


_DETAILS: dict[type, Callable[[Namer, Any], Iterator[Pair]]] = {
    p.Scan: _scan_details,
    p.VirtualScan: _filter_details,
    p.HashJoin: _hash_details,
    p.Materialize: _materialize_details,
    p.NestedLoop: _loop_details,
    p.AggregateNode: _aggregate_details,
    p.Sort: _sort_details,
    p.Distinct: _distinct_details,
}
