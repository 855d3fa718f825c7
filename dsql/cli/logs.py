"""Logs: JSON lines that a role writes to stderr, and the rotating file its supervisor keeps them in."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path

LOG_BYTES_MAX = 16 * 1024 * 1024
LOG_FILES_KEPT = 4
FIELD_CHARACTERS_MAX = 500
TRACEBACK_CHARACTERS_MAX = 8_000

# What every record has; everything else came in as `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


_encode = json.JSONEncoder(default=str).encode


class JsonFormatter(logging.Formatter):
    """One JSON object per record: time (UTC), level, role, logger, message, and the extras.

    Whatever a field holds, and whoever chose it, it takes a bounded room in the log.
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "role": self._role,
            "process": os.getpid(),
            "logger": record.name,
            "message": _cut(record.getMessage()),
        }
        line |= {
            key: _bounded(value) for key, value in vars(record).items() if key not in _STANDARD
        }
        if record.exc_info:
            # The end says what went wrong, and where.
            line["exception"] = self.formatException(record.exc_info)[-TRACEBACK_CHARACTERS_MAX:]
        return _encode(line)


def _bounded(value: object) -> object:
    """Return a field's value, as text if it is a large structure."""
    if isinstance(value, str):
        return _cut(value)
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    return value if len(text) <= FIELD_CHARACTERS_MAX else _cut(text)


def _cut(text: str) -> str:
    if len(text) <= FIELD_CHARACTERS_MAX:
        return text
    return f"{text[:FIELD_CHARACTERS_MAX]}... ({len(text)} characters)"


def log_to_stderr(role: str, level: str) -> None:
    """Send every logger's records to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(role))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class RotatingFile:
    """A log file that becomes NAME.1, NAME.2, ... when it has reached its size."""

    def __init__(self, path: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
        self._path = path
        self._bytes_max = bytes_max
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()

    def write(self, data: bytes) -> None:
        """Append whole lines. What the disk does not take is lost: a full disk must stop no role."""
        if self._size and self._size + len(data) > self._bytes_max:
            self._rotate()
        try:
            self._size += self._file.write(data) or 0
        except OSError:
            return

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(LOG_FILES_KEPT - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        self._path.replace(self._numbered(1))
        self._file = self._path.open("ab", buffering=0)
        self._size = 0

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
