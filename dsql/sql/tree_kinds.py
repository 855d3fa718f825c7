"""Long lists of expressions to sqlglot trees: one for each kind (`dsql.sql.expression_lists`)."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import exp

from dsql.errors import SqlError
from dsql.sql.expression_lists import ExpressionList, Kind, NotAlikeError
from dsql.sql.gate import parse_kind
from dsql.sql.tree import TreeBuilder

_SIGNS = re.compile(r"[-\s]*")


def alike_tree(found: ExpressionList) -> exp.Expression:
    """Return the List of a list. Raises NotAlikeError if a kind of it is no expression."""
    tree = exp.List(kinds=[_kind_tree(kind) for kind in found.kinds], order=found.order)
    tree._meta = {"position": found.kinds[0].position}
    return tree


def _kind_tree(kind: Kind) -> exp.Expression:
    try:
        statement, node = parse_kind(kind)
    except SqlError:
        raise NotAlikeError from None
    build = _KindBuilder(statement, kind)
    tree = build.expression(node)
    if len(build.claimed) < len(kind.columns):  # one of them is no constant to the parser
        raise NotAlikeError
    if not kind.is_branch:
        return tree
    if not isinstance(tree, exp.Case) or len(tree.args["ifs"]) != 1:
        raise NotAlikeError
    return tree.args["ifs"][0]  # type: ignore[no-any-return]


class _KindBuilder(TreeBuilder):
    """Builds the tree of a kind, with Placeholders for its columns."""

    def __init__(self, statement: Any, kind: Kind) -> None:
        super().__init__(statement)
        self._kind = kind
        self._columns = {column.offset: column.literals for column in kind.columns}

    def given(self, node: Any) -> exp.Expression | None:
        position = self.position(node.location)
        # The parser makes one constant of `- 5`, and says that it is where the sign is.
        found = _SIGNS.match(self._kind.text, max(position - self._kind.position, 0))
        assert found is not None
        literals = self._columns.get(found.end())
        if literals is None:
            return None
        self.claimed.add(found.end())
        values = _values(literals, negative=found.group().count("-") % 2 == 1)
        tree = exp.Placeholder(values=values, is_string=literals[0][0] == "'")
        tree._meta = {"position": position}
        return tree


def _values(literals: list[str], *, negative: bool) -> list[Any]:
    """Return numbers as int or, of numeric, as text; strings as what they mean."""
    if literals[0][0] == "'":
        return [literal[1:-1].replace("''", "'") for literal in literals]
    sign = "-" if negative else ""
    if literals[0].isdigit():
        return [int(sign + literal) for literal in literals]
    return [sign + literal for literal in literals]
