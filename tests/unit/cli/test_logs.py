from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from dsql.cli.logs import FIELD_CHARACTERS_MAX, JsonFormatter, RotatingFile


def test_record_is_one_json_line_with_its_extras() -> None:
    record = logging.makeLogRecord(
        {
            "name": "placement.agent",
            "levelname": "WARNING",
            "msg": "lost %s",
            "args": ("it",),
            "az": "a",
        }
    )
    line = JsonFormatter("agent").format(record)
    assert "\n" not in line
    fields = json.loads(line)
    assert fields["message"] == "lost it"
    assert fields["level"] == "warning"
    assert fields["role"] == "agent"
    assert fields["az"] == "a"


def test_exception_stays_on_the_records_line() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    line = JsonFormatter("agent").format(record)
    assert "\n" not in line
    assert "ValueError: no" in json.loads(line)["exception"]


@pytest.mark.parametrize("value", ["x" * 9_000, ["x" * 20] * 500, {"x" * 9_000: 1}])
def test_no_field_takes_more_than_its_room(value: object) -> None:
    record = logging.makeLogRecord({"msg": "by %s", "args": (value,), "user": value})
    fields = json.loads(JsonFormatter("relay").format(record))
    assert len(str(fields["user"])) < FIELD_CHARACTERS_MAX + 50
    assert len(fields["message"]) < FIELD_CHARACTERS_MAX + 50


def test_full_log_file_moves_aside_and_the_oldest_goes(tmp_path: Path) -> None:
    log = RotatingFile(tmp_path / "role.log", bytes_max=10)
    for number in range(8):
        log.write(b"%06d\n" % number)
    log.close()
    assert (tmp_path / "role.log").read_bytes() == b"000007\n"
    assert (tmp_path / "role.log.1").read_bytes() == b"000006\n"
    assert (tmp_path / "role.log.4").read_bytes() == b"000003\n"
    assert not (tmp_path / "role.log.5").exists()


def test_log_goes_on_after_a_restart(tmp_path: Path) -> None:
    for text in (b"one\n", b"two\n"):
        log = RotatingFile(tmp_path / "role.log")
        log.write(text)
        log.close()
    assert (tmp_path / "role.log").read_bytes() == b"one\ntwo\n"
