"""Replacing a file whole: readers see the old content or the new one, also after a crash."""

from __future__ import annotations

import os
from pathlib import Path

from dsql.disk.files import SYSTEM_FILES, Files, write_all

PRIVATE = 0o600
PUBLIC = 0o644


def write_atomically(
    path: Path, content: bytes, mode: int = PUBLIC, files: Files = SYSTEM_FILES
) -> None:
    """Write `content` beside `path` with permissions `mode`, sync it, and rename it into place."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = files.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        try:
            files.set_mode(descriptor, mode)
            write_all(files, descriptor, content, 0)
            files.datasync(descriptor)
        finally:
            files.close(descriptor)
        files.rename(scratch, path)
    except BaseException:
        if files.exists(scratch):
            files.unlink(scratch)
        raise
    files.sync_directory(path.parent)


def sync(path: Path) -> None:
    """Make a file's content durable, or the names that a folder holds."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
