"""The project's modules as the architecture tests see them: paths, syntax trees, imports."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dsql", "relay", "placement", "journal", "adjudicator", "storage", "control_plane")


@cache
def modules() -> dict[str, ast.Module]:
    """Return every module's syntax tree by its dotted name (packages by their own name)."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = list(path.relative_to(ROOT).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            found[".".join(parts)] = ast.parse(path.read_text("utf-8"), filename=str(path))
    return found


def path_of(module: str) -> Path:
    """Return a module's file."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def imports_of(module: str) -> frozenset[str]:
    """Return the modules that a module names in import statements, at any depth of its code.

    `if TYPE_CHECKING:` blocks do not count: nothing is imported there at run time.
    """
    names: set[str] = set()
    _collect(modules()[module], names)
    return frozenset(names)


@cache
def top_level_imports_of(module: str) -> frozenset[str]:
    """Return what a module imports while it is itself imported."""
    names: set[str] = set()
    for node in modules()[module].body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            _collect(node, names)
    return frozenset(names)


def _collect(node: ast.AST, names: set[str]) -> None:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        for other in node.orelse:
            _collect(other, names)
        return
    if isinstance(node, ast.Import):
        names.update(alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"relative import of {node.module}"
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            names.add(whole if whole in modules() else str(node.module))
    for child in ast.iter_child_nodes(node):
        _collect(child, names)
