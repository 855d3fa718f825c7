"""EXPLAIN's text of a plan.

    Index Only Scan using t_pkey on t  (cost=100.05..100.06 rows=1 width=8)
      Index Cond: (id = 1)
      -> Storage Scan on t_pkey (cost=...)
          Projections: id, v
          -> B-Tree Scan on t_pkey (cost=...)
              Index Cond: (id = 1)

What storage does is set apart by its narrower margins.
"""

from __future__ import annotations

from dsql.planner.explain import Shown, Style

_STORAGE_MARGIN = 4


def text_of(shown: Shown, style: Style) -> list[str]:
    """Return the lines of a plan."""
    lines: list[str] = []
    _add(lines, shown, style, 0, arrow=False)
    return lines


def _add(lines: list[str], shown: Shown, style: Style, depth: int, *, arrow: bool) -> None:
    cost = f"  {_cost(shown)}" if style.costs else ""
    margin = " " * depth + ("->  " if arrow else "")
    lines.append(margin + shown.label + cost + _done(shown, timing=style.timing))
    inner = depth + (6 if arrow else 2)
    _add_details(lines, shown, inner)
    for step in shown.storage:
        _add_step(lines, step, style, inner)
    for title, below in shown.first:
        _add_titled(lines, title, below, style, inner)
    for below in shown.below:
        _add(lines, below, style, inner, arrow=True)
    for title, below in shown.last:
        _add_titled(lines, title, below, style, inner)


def _add_titled(lines: list[str], title: str, shown: Shown, style: Style, depth: int) -> None:
    lines.append(" " * depth + title)
    _add(lines, shown, style, depth + 2, arrow=True)


def _add_step(lines: list[str], step: Shown, style: Style, depth: int) -> None:
    cost = f" {_cost(step)}" if style.costs else ""
    lines.append(" " * depth + f"-> {step.label}{cost}{_done(step, timing=False)}")
    _add_details(lines, step, depth + _STORAGE_MARGIN)
    for below in step.storage:
        _add_step(lines, below, style, depth + _STORAGE_MARGIN)


def _add_details(lines: list[str], shown: Shown, depth: int) -> None:
    for name, value in shown.details:
        text = ", ".join(value) if isinstance(value, list) else value
        lines.append(" " * depth + f"{name}: {text}")


def _cost(shown: Shown) -> str:
    estimate = shown.estimate
    return (
        f"(cost={estimate.startup:.2f}..{estimate.total:.2f} "
        f"rows={estimate.rows:.0f} width={estimate.width})"
    )


def _done(shown: Shown, *, timing: bool) -> str:
    """Return what a node has done, a loop on the average."""
    actual = shown.actual
    if actual is None:
        return ""
    loops = actual.loops
    if not loops:
        return " (never executed)"
    times = ""
    if timing:
        times = f"time={actual.startup * 1e3 / loops:.3f}..{actual.total * 1e3 / loops:.3f} "
    return f" (actual {times}rows={round(actual.rows / loops)} loops={loops})"
