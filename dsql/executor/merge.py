"""Code of MERGE: for each row of the join the first action whose condition is true.

The actions are written as INSERT, UPDATE and DELETE write theirs (`dsql.executor.modify`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from dsql.executor.generator import Generator
from dsql.executor.modify import (
    changed_rows,
    delete_reads,
    refuse_frozen,
    update_reads,
    write_deletion,
    write_insertion,
    write_update,
)
from dsql.executor.source import Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import slots_of_all
from dsql.planner.plan_slots import node_expressions


def produce_merge(
    generator: Generator, node: p.MergeNode, env: Env, required: set[int], _consume: Consume
) -> None:
    """Write a MERGE. It gives no rows."""
    refuse_frozen(node.table)
    source = generator.source
    pending = source.fresh("pending")
    affected = changed_rows(generator, node.table, always=True)

    def act(inner: Env) -> None:
        key = inner[node.key_slot].code
        source.line(f"{pending} = True")
        for matched, test in ((True, f"if {key} is not None:"), (False, "else:")):
            with source.block(test):
                source.line("pass")
                actions = [action for action in node.actions if action.matched == matched]
                _write_actions(generator, node, actions, inner, (pending, affected))

    generator.produce(node.child, env, _reads(node, required), act)


def _reads(node: p.MergeNode, required: set[int]) -> set[int]:
    reads = required | slots_of_all(node_expressions(node)) | {node.row_slot, node.key_slot}
    for action in node.actions:
        if isinstance(action.write, p.UpdateNode):
            reads |= update_reads(action.write, set())
        elif isinstance(action.write, p.DeleteNode):
            reads |= delete_reads(action.write, set())
    return reads


def _write_actions(
    generator: Generator,
    node: p.MergeNode,
    actions: Sequence[p.MergeAction],
    env: Env,
    names: tuple[str, str],
) -> None:
    """Write the actions of a kind of rows. `names`: of "none was chosen yet" and of the set of keys."""
    source, (pending, affected) = generator.source, names
    for action in actions:
        with source.block(f"if {pending}:"), ExitStack() as blocks:
            if action.condition is not None:
                text = generator.expressions.true(action.condition, env)
                blocks.enter_context(source.block(f"if {text}:"))
            source.line(f"{pending} = False")
            if isinstance(action.write, p.InsertNode):
                write_insertion(generator, action.write, env)
            elif action.write is not None:
                _write_once(generator, node, action.write, env, affected)


def _write_once(
    generator: Generator, node: p.MergeNode, write: p.Modification, env: Env, affected: str
) -> None:
    """Write a change of the target's row, which must be the statement's only one."""
    source, key = generator.source, env[node.key_slot].code
    with source.block(f"if {key} in {affected}:"):
        source.line("raise second_merge()")
    source.line(f"{affected}.add({key})")
    if isinstance(write, p.UpdateNode):
        write_update(generator, write, env, env[node.row_slot].code)
    else:
        assert isinstance(write, p.DeleteNode)
        write_deletion(generator, write, env)
