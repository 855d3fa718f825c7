"""Every function, class and constant of a module is used by something other than itself and the tests."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

from source_tree import ROOT, modules

# What is called from outside: by users of the package, by tests as clients; and PostgreSQL's list of types.
ENTRANCES = ("dsql.client", "dsql.pytest_plugin", "dsql.wire.client", "dsql.types.oids")
# What the catalog can hold, though no statement makes it; and what only an installation's own tools name.
SPARE = {"view_text", "bind_definition", "CIPHERS"}
# Of a name that is read more often than this nobody asks whether it is only by itself.
_OWN_USES_MAX = 10
_WORD = re.compile(r"\w+")


def _names(tree: ast.AST) -> Counter[str]:
    """Return how often each name is read, as a word in a string as well: in templates and tables."""
    found: Counter[str] = Counter()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name):
                found[name] += 1
            case ast.keyword(arg=str(name)):
                found[name] += 1
            case ast.Constant(value=str(text)):
                found.update(set(_WORD.findall(text)))
    return found


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if not node.decorator_list or isinstance(node, ast.ClassDef):
                yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and not target.id.startswith("__"):
                    yield target.id, node


def test_nothing_is_left_that_nobody_uses() -> None:
    trees = modules()
    bench = (ast.parse(path.read_text()) for path in (ROOT / "bench").rglob("*.py"))
    used: Counter[str] = Counter()
    for tree in (*trees.values(), *bench):
        used.update(_names(tree))
    unused = [
        f"{module}.{name}"
        for module, tree in trees.items()
        if not module.startswith(ENTRANCES)
        for name, node in _definitions(tree)
        if name not in SPARE and used[name] <= _OWN_USES_MAX and used[name] <= _names(node)[name]
    ]
    assert not unused, "\n".join(unused)
