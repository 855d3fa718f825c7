from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from dsql.cli import log_lines
from dsql.cli.log_lines import Choice, parse, render
from dsql.cli.logs import RotatingFile
from dsql.cli.main import main
from dsql.cli.show_logs import Follower

ALL = Choice(logging.DEBUG)


def line(second: int, role: str = "relay-1", level: str = "info", **fields: object) -> bytes:
    time = f"2026-01-01T00:00:{second:02d}.000Z"
    record = {"time": time, "level": level, "role": role, "process": 1, "message": f"m{second}"}
    return json.dumps(record | fields).encode() + b"\n"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "relay-1.log").write_bytes(line(1) + line(3, level="warning", connection=7))
    (folder / "host.log").write_bytes(line(2, "host") + b"a stack\n" + line(4, "host"))
    return folder


def messages(text: str) -> list[str]:
    return [part for part in text.split() if part[0] == "m" and part[1:].isdigit()]


def test_lines_of_all_roles_come_in_the_order_of_time(logs: Path, capsys) -> None:
    assert main(["logs", "--data", str(logs.parent)]) == 0
    out = capsys.readouterr().out
    assert messages(out) == ["m1", "m2", "m3", "m4"]
    assert out.index("m2") < out.index("a stack") < out.index("m3")


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["-n", "2"], ["m3", "m4"]),
        (["relay-1"], ["m1", "m3"]),
        (["--level", "warning"], ["m3"]),
        (["--connection", "7"], ["m3"]),
    ],
)
def test_lines_can_be_chosen(logs: Path, capsys, words: list[str], shown: list[str]) -> None:
    assert main(["logs", "--data", str(logs.parent), *words]) == 0
    assert messages(capsys.readouterr().out) == shown


def test_json_is_what_is_in_the_files(logs: Path, capsys) -> None:
    main(["logs", "--data", str(logs.parent), "--json", "relay-1"])
    assert capsys.readouterr().out.encode() == (logs / "relay-1.log").read_bytes()


def test_an_unknown_role_is_one_line(logs: Path, capsys) -> None:
    assert main(["logs", "--data", str(logs.parent), "relay-9"]) == 1
    assert "there is no log of relay-9; there are: host, relay-1" in capsys.readouterr().err


def test_nothing_is_lost_or_told_twice_when_a_log_is_renamed(tmp_path: Path) -> None:
    path = tmp_path / "relay-1.log"
    log = RotatingFile(path, bytes_max=len(line(10)) * 2)
    follower = Follower(lambda: [path], ALL)
    told = []
    for second in range(20):
        log.write(line(second))
        if second % 2:
            told += [found.fields["message"] for found in follower.read_new()]
    follower.close()
    log.close()
    assert told == [f"m{second}" for second in range(20)]


def test_half_a_line_is_told_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "host.log"
    path.write_bytes(line(1)[:20])
    follower = Follower(lambda: [path], ALL)
    assert follower.read_new() == []
    with path.open("ab") as file:
        file.write(line(1)[20:])
    assert [found.fields["message"] for found in follower.read_new()] == ["m1"]
    follower.close()


def test_what_clients_have_chosen_does_nothing_to_a_terminal() -> None:
    (found,) = parse([line(1, user="\x1b]0;x\x07", exception="a\n\x1b[2J").rstrip()])
    text = render(found, colours=False)
    assert text.replace("\n", "").isprintable()
    assert "user=\\x1b]0;x\\x07" in text


def test_only_what_is_worse_has_a_colour() -> None:
    (fine, bad) = parse([line(1).rstrip(), line(2, level="error").rstrip()])
    assert "\x1b" not in render(fine, colours=True)
    assert "\x1b[31m" in render(bad, colours=True)
    assert log_lines.printable("plain") == "plain"
