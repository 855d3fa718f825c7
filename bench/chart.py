"""Draws a run's ratios as bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw this server's rate as a share of PostgreSQL's, or PgBouncer's, to an SVG file.

    A bar per figure, and a line from the lowest to the highest ratio of its pairs of runs.
    """
    rows = [row for row in result["rows"] if "ratio" in row]
    if not rows:
        return
    labels = [_label(row) for row in rows]
    figure, axes = plt.subplots(figsize=(8, 0.4 * len(rows) + 1.2))
    axes.barh(labels, [row["ratio"] for row in rows], color="#3b6ea5")
    axes.axvline(1.0, color="#444444", linewidth=1)
    for position, row in enumerate(rows):
        ratios = row.get("ratios") or [row["ratio"]]
        axes.plot([ratios[0], ratios[-1]], [position, position], color="#222222", linewidth=1)
        axes.text(ratios[-1], position, f"  {row['ratio']:.2f}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("dsql / peer (1.0: the same)")
    axes.set_title(f"{result['taken']}, commit {result['commit']}", fontsize=9)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _label(row: dict[str, Any]) -> str:
    through = " (PgBouncer)" if row.get("peer") == "pgbouncer" else ""
    return f"{row['figure']} {row.get('clients', '')}".strip() + through
