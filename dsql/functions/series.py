"""generate_series over numbers, and randomness that belongs to no other family."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from decimal import Decimal

from dsql.errors import SqlError
from dsql.functions.definition import define
from dsql.functions.session_random import session_random
from dsql.types.integer import INT4_MAX, INT4_MIN, INT8_MAX, INT8_MIN
from dsql.types.numeric import EXACT


def _zero_step() -> SqlError:
    return SqlError("22023", "step size cannot equal zero")


def _integers(start: int, stop: int, step: int, low: int, high: int) -> range:
    """Return the series; it ends early instead of leaving the type's range."""
    if step == 0:
        raise _zero_step()
    stop = max(min(stop, high), low)
    return range(start, stop + (1 if step > 0 else -1), step)


def series_int4(start: int, stop: int, step: int = 1) -> range:
    """Return start, start + step, ... up to stop."""
    return _integers(start, stop, step, INT4_MIN, INT4_MAX)


def series_int8(start: int, stop: int, step: int = 1) -> range:
    """Return start, start + step, ... up to stop."""
    return _integers(start, stop, step, INT8_MIN, INT8_MAX)


def series_numeric(start: Decimal, stop: Decimal, step: Decimal | None = None) -> Iterator[Decimal]:
    """Yield start, start + step, ... up to stop. Raises SqlError 22023."""
    step = Decimal(1) if step is None else step
    for name, value in (("start value", start), ("stop value", stop), ("step size", step)):
        if not value.is_finite():
            kind = "NaN" if value.is_nan() else "infinity"
            raise SqlError("22023", f"{name} cannot be {kind}")
    if step == 0:
        raise _zero_step()
    value = start
    while value <= stop if step > 0 else value >= stop:
        yield value
        value = EXACT.add(value, step)


def _random_normal(mean: float, deviation: float) -> float:
    return session_random().gauss(mean, deviation)


define("generate_series(int4,int4) generate_series(int4,int4,int4)", series_int4)
define("generate_series(int8,int8) generate_series(int8,int8,int8)", series_int8)
define("generate_series(numeric,numeric) generate_series(numeric,numeric,numeric)", series_numeric)
define("gen_random_uuid", lambda: uuid.uuid4().bytes)
define("random_normal", _random_normal, defaults=(0.0, 1.0))
