"""CALL. The only procedure there is waits for a background job, as Aurora DSQL's does.

Each look at the job needs a snapshot of its own, so the wait ends the transaction that it began with.
"""

from __future__ import annotations

from dsql.catalog.jobs import FINISHED, Job, parse_identifier, read_job
from dsql.ddl import nodes
from dsql.ddl.result import UtilityResult
from dsql.errors import SqlError, unsupported
from dsql.executor.program import OutputColumn
from dsql.session.block import State
from dsql.session.state import SessionState
from dsql.sql.gate import ParsedStatement
from dsql.types import oids

COLUMNS = (OutputColumn("wait_for_job", oids.BOOL),)
_NAMES = (["wait_for_job"], ["sys", "wait_for_job"])
_POLL_SECONDS = 0.02


def run_call(parsed: ParsedStatement, state: SessionState) -> UtilityResult:
    """Run CALL sys.wait_for_job('job'): one row, true if the job completed, false if it failed."""
    call = parsed.node.funccall
    if any(nodes.kind(argument) == "sub_link" for argument in call.args):
        raise unsupported("cannot use subquery in CALL argument")
    name = nodes.strings(call.funcname)
    if name not in _NAMES or len(call.args) != 1:
        hint = (
            "No procedure matches the given name and argument types. "
            "You might need to add explicit type casts."
        )
        shown = f"{'.'.join(name)}({', '.join(['unknown'] * len(call.args))})"
        raise SqlError("42883", f"procedure {shown} does not exist", hint=hint)
    argument = nodes.inner(call.args[0])
    if nodes.kind(call.args[0]) != "a_const" or not argument.sval.sval:
        raise unsupported("only a string constant is supported as a CALL argument")
    block = state.block
    if block.state is State.OPEN or block.transaction.has_writes:
        raise SqlError("2D000", "invalid transaction termination")
    job = _wait(parse_identifier(argument.sval.sval), state)
    return UtilityResult("CALL", COLUMNS, [(job.status == "completed",)])


def _wait(identifier: bytes, state: SessionState) -> Job:
    state.environment.request_jobs()  # whoever should have done so may have died
    while True:
        job = read_job(state.block.transaction, identifier)
        if job is None:
            raise SqlError("42704", "job does not exist")
        if job.status in FINISHED:
            return job
        state.block.rollback()
        state.interrupts.pause(_POLL_SECONDS)
