"""What each utility statement needs and who runs it: one table by libpg_query's node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from dsql.access.authority import Authority
from dsql.access.authorize import authorize
from dsql.access.requirements import Requirement
from dsql.ddl.alter_domain import alter_domain, alter_domain_requires
from dsql.ddl.alter_function import alter_function, alter_function_requires
from dsql.ddl.alter_table import alter_table, alter_table_requires
from dsql.ddl.comment import comment, comment_requires
from dsql.ddl.composites import create_composite, create_composite_requires
from dsql.ddl.create_table import create_table, create_table_requires
from dsql.ddl.default_privileges import alter_default_privileges
from dsql.ddl.domains import create_domain, create_domain_requires
from dsql.ddl.drop import drop, drop_requires
from dsql.ddl.enums import (
    alter_enum,
    alter_enum_requires,
    create_enum,
    create_enum_requires,
)
from dsql.ddl.functions import create_function, create_function_requires
from dsql.ddl.grant import grant
from dsql.ddl.iam_mappings import iam_grant, iam_revoke
from dsql.ddl.indexes import create_index, create_index_requires
from dsql.ddl.maintenance import truncate, truncate_requires, vacuum
from dsql.ddl.memberships import grant_role
from dsql.ddl.owned import drop_owned, reassign_owned
from dsql.ddl.owners import alter_owner, alter_owner_requires
from dsql.ddl.physical_order import cluster, reindex
from dsql.ddl.ranges import create_range, create_range_requires
from dsql.ddl.rename import rename, rename_requires, set_schema, set_schema_requires
from dsql.ddl.result import UtilityContext, UtilityResult
from dsql.ddl.roles import alter_role, create_role, drop_role
from dsql.ddl.schemas import create_schema, create_schema_requires
from dsql.ddl.sequences import (
    alter_sequence,
    alter_sequence_requires,
    create_sequence,
    create_sequence_requires,
)
from dsql.ddl.statistics import (
    alter_statistics,
    alter_statistics_requires,
    create_statistics,
    create_statistics_requires,
)
from dsql.ddl.views import create_view, create_view_requires
from dsql.sql.gate import ParsedStatement

Context = TypeVar("Context")


class Utility(Generic[Context]):
    """A utility statement: what it needs, and the handler that runs it for who has that.

    `requires` yields requirements in the order in which PostgreSQL would miss them, and raises the errors
    of names that PostgreSQL would find between them. Both are given the statement and a `Context`.
    """

    __slots__ = ("_handler", "_requires")

    def __init__(
        self,
        requires: Callable[[ParsedStatement, Context], Iterable[Requirement]],
        handler: Callable[[ParsedStatement, Context], UtilityResult],
    ) -> None:
        self._requires = requires
        self._handler = handler

    def run(self, parsed: ParsedStatement, context: Context, authority: Authority) -> UtilityResult:
        """Run a statement for a role with these rights. Raises SqlError 42501 if they do not suffice."""
        authorized = authorize(parsed, self._requires(parsed, context), authority)
        return self._handler(authorized.subject, context)


def nothing(parsed: ParsedStatement, context: Any) -> Iterable[Requirement]:
    """The requirements of a statement that anybody may run, on whatever it names."""
    del parsed, context
    return ()


def own_rules(parsed: ParsedStatement, context: Any) -> Iterable[Requirement]:
    """The requirements of a statement about rights: who may give which is what its handler is about."""
    del parsed, context
    return ()


def _of_node(
    handler: Callable[[Any, UtilityContext], UtilityResult],
) -> Callable[[ParsedStatement, UtilityContext], UtilityResult]:
    """Return the handler of a statement as one of its node, if its errors have no positions."""
    return lambda parsed, context: handler(parsed.node, context)


def _iam(parsed: ParsedStatement, context: UtilityContext) -> UtilityResult:
    change = iam_revoke if parsed.node.revoke else iam_grant
    return change(parsed.node.role, parsed.node.arn, context)


UTILITIES: dict[str, Utility[UtilityContext]] = {
    "Create": Utility(create_table_requires, create_table),
    "AlterTable": Utility(alter_table_requires, alter_table),
    "CompositeType": Utility(create_composite_requires, create_composite),
    "CreateRange": Utility(create_range_requires, create_range),
    "View": Utility(create_view_requires, create_view),
    "Index": Utility(create_index_requires, create_index),
    "Drop": Utility(drop_requires, _of_node(drop)),
    "Rename": Utility(rename_requires, _of_node(rename)),
    "AlterObjectSchema": Utility(set_schema_requires, _of_node(set_schema)),
    "AlterDomain": Utility(alter_domain_requires, alter_domain),
    "AlterEnum": Utility(alter_enum_requires, alter_enum),
    "AlterFunction": Utility(alter_function_requires, alter_function),
    "CreateDomain": Utility(create_domain_requires, create_domain),
    "CreateEnum": Utility(create_enum_requires, create_enum),
    "CreateFunction": Utility(create_function_requires, create_function),
    "CreateSchema": Utility(create_schema_requires, _of_node(create_schema)),
    "CreateSeq": Utility(create_sequence_requires, create_sequence),
    "AlterSeq": Utility(alter_sequence_requires, alter_sequence),
    "CreateStats": Utility(create_statistics_requires, create_statistics),
    "AlterStats": Utility(alter_statistics_requires, alter_statistics),
    "CreateRole": Utility(own_rules, _of_node(create_role)),
    "AlterRole": Utility(own_rules, _of_node(alter_role)),
    "DropRole": Utility(own_rules, _of_node(drop_role)),
    "Grant": Utility(own_rules, _of_node(grant)),
    "GrantRole": Utility(own_rules, _of_node(grant_role)),
    "AlterDefaultPrivileges": Utility(own_rules, _of_node(alter_default_privileges)),
    "AlterOwner": Utility(alter_owner_requires, _of_node(alter_owner)),
    "ReassignOwned": Utility(own_rules, _of_node(reassign_owned)),
    "DropOwned": Utility(own_rules, _of_node(drop_owned)),
    "IamGrant": Utility(own_rules, _iam),
    "Comment": Utility(comment_requires, comment),
    "Truncate": Utility(truncate_requires, _of_node(truncate)),
    "Vacuum": Utility(nothing, _of_node(vacuum)),
    "Reindex": Utility(own_rules, _of_node(reindex)),
    "Cluster": Utility(own_rules, _of_node(cluster)),
}
