"""How deep statements may nest.

Binder, planner and code generator recurse over a statement's tree, a handful of Python frames per level,
and PostgreSQL's grammar lets through some 6,000 levels. Frames of Python code take no C stack, but some
calls between them do (a comprehension inside `any`, a generator inside a generator: up to 1.6 KB each).
"""

from __future__ import annotations

import resource
import sys

from dsql.errors import SqlError

FRAMES_MAX = 30_000
FRAME_BYTES = 2_048  # of C stack, at most
_STACK_BYTES = FRAMES_MAX * FRAME_BYTES


def allow_deep_statements() -> None:
    """Let the process recurse as deep as its stack can be made to carry, `FRAMES_MAX` at most.

    The kernel grows the main thread's stack up to the soft limit of the moment; statements run there.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    unlimited = resource.RLIM_INFINITY
    stack = _STACK_BYTES if hard == unlimited else min(hard, _STACK_BYTES)
    if soft != unlimited and soft < stack:
        resource.setrlimit(resource.RLIMIT_STACK, (stack, hard))
    sys.setrecursionlimit(max(sys.getrecursionlimit(), stack // FRAME_BYTES))


def stack_depth_error() -> SqlError:
    """Return the error of a statement nested too deep."""
    return SqlError(
        "54001",
        "stack depth limit exceeded",
        hint='Increase the configuration parameter "max_stack_depth" (currently 2048kB), '
        "after ensuring the platform's stack depth limit is adequate.",
    )
