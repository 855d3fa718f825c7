from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dsql.cli.data_directory import claim, holder
from dsql.cli.errors import CommandError
from dsql.control.layout import Layout


def test_second_supervisor_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    lock = claim(layout)
    with pytest.raises(CommandError, match=f"already running on .* \\(process {os.getpid()}\\)"):
        claim(layout)
    assert holder(layout) == os.getpid()
    lock.release()


def test_released_directory_can_be_claimed_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    claim(layout).release()
    assert holder(layout) is None
    claim(layout).release()


def test_directory_below_a_file_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match=r"cannot write to .*: Not a directory"):
        claim(Layout(tmp_path / "file" / "data"))


def test_full_disk_is_found_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(CommandError, match=r"cannot write to .*: No space left on device"):
        claim(Layout(tmp_path))
    assert not (tmp_path / ".room").exists()


def test_directory_stays_free_after_a_failed_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_full_disk_is_found_at_once(tmp_path, monkeypatch)
    assert holder(Layout(tmp_path)) is None
