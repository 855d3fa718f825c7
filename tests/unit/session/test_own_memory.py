import mmap
from pathlib import Path

import pytest

from dsql.session.own_memory import OwnMemory

MEBIBYTE = 1024 * 1024


@pytest.fixture
def memory() -> OwnMemory:
    return OwnMemory()


def test_what_is_mapped_of_a_file_is_not_a_process_s_own(memory: OwnMemory, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(64 * MEBIBYTE))
    before = memory.resident_bytes
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) == 0
        assert memory.resident_bytes - before < 16 * MEBIBYTE
    memory.close()


def test_what_is_held_is_its_own_until_it_is_given_back(memory: OwnMemory) -> None:
    before = memory.resident_bytes
    held = bytes(1) * (64 * MEBIBYTE)
    assert memory.resident_bytes - before > 48 * MEBIBYTE
    del held
    assert memory.resident_bytes - before < 16 * MEBIBYTE
    memory.close()
