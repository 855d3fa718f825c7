"""How a command says no: one line on stderr and an exit status."""

from __future__ import annotations


class CommandError(Exception):
    """Something that the user can mend; the text says what, in one line."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def reason(error: OSError) -> str:
    """Return what the operating system says, without number and path."""
    return error.strerror or str(error)
