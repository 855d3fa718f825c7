"""Aurora DSQL's unit of work: what a cluster has used, and what EXPLAIN ANALYZE VERBOSE estimates.

A second of processor time is a unit; bytes that are read and written have a price. The least that a
transaction costs is told, and not added: a statement need not be alone in its transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from dsql.planner.explain_formats import decimal
from dsql.transaction.usage import READ_BYTES_MIN, WRITE_BYTES_MIN, Usage

_READ_PER_BYTE = 0.00000183105
_WRITE_PER_BYTE = 0.00004883


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a statement costs, in units."""

    compute: float
    read: float
    write: float

    def lines(self) -> list[str]:
        """Return the estimate as EXPLAIN's text has it."""
        least_read, least_write = READ_BYTES_MIN * _READ_PER_BYTE, WRITE_BYTES_MIN * _WRITE_PER_BYTE
        return [
            "Statement DPU Estimate:",
            f"  Compute: {self.compute:.5f} DPU",
            f"  Read: {self.read:.5f} DPU (Transaction minimum: {least_read:.5f})",
            f"  Write: {self.write:.5f} DPU (Transaction minimum: {least_write:.5f})",
            f"  Total: {self.total:.5f} DPU",
        ]

    def document(self) -> dict[str, Decimal]:
        """Return the estimate for EXPLAIN's other formats."""
        amounts = {"Compute": self.compute, "Read": self.read, "Write": self.write}
        return {
            name: decimal(amount, 5) for name, amount in {**amounts, "Total": self.total}.items()
        }

    @property
    def total(self) -> float:
        """All of it."""
        return self.compute + self.read + self.write


def estimate(seconds: float, read_bytes: int, written_bytes: int) -> Estimate:
    """Return what a statement costs that took so much processor time, and read and wrote so many bytes."""
    return Estimate(seconds, read_bytes * _READ_PER_BYTE, written_bytes * _WRITE_PER_BYTE)


def used(usage: Usage) -> Estimate:
    """Return what a cluster's transactions cost."""
    seconds = usage.compute_microseconds / 1_000_000
    return estimate(seconds, usage.read_bytes_charged, usage.write_bytes_charged)
