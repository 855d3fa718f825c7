"""Aurora DSQL's unit of work, as EXPLAIN ANALYZE VERBOSE estimates it for a statement.

A second of processor time is a unit; bytes that are read and written have a price. The least that a
transaction costs is told, and not added: a statement need not be alone in its transaction.
"""

from __future__ import annotations

SMALLEST_BYTES = 128  # of a written row or index entry, and of what is read of one of them
_READ_PER_BYTE = 0.00000183105
_WRITE_PER_BYTE = 0.00004883
_READ_BYTES_MIN = 2_048  # of a transaction
_WRITE_BYTES_MIN = 1_024


def estimate(seconds: float, read_bytes: int, written_bytes: int) -> list[str]:
    """Return the lines that EXPLAIN prints for a statement."""
    read, write = read_bytes * _READ_PER_BYTE, written_bytes * _WRITE_PER_BYTE
    least_read, least_write = _READ_BYTES_MIN * _READ_PER_BYTE, _WRITE_BYTES_MIN * _WRITE_PER_BYTE
    return [
        "Statement DPU Estimate:",
        f"  Compute: {seconds:.5f} DPU",
        f"  Read: {read:.5f} DPU (Transaction minimum: {least_read:.5f})",
        f"  Write: {write:.5f} DPU (Transaction minimum: {least_write:.5f})",
        f"  Total: {seconds + read + write:.5f} DPU",
    ]
