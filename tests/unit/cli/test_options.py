from __future__ import annotations

import argparse

import pytest

from dsql.cli.main import COMMANDS, main
from dsql.cli.options import parse_listen


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:5433", ("0.0.0.0", 5433)),
        ("5433", ("127.0.0.1", 5433)),
        (":5433", ("127.0.0.1", 5433)),
        ("localhost", ("localhost", 5432)),
        ("[::1]:5433", ("::1", 5433)),
    ],
)
def test_listen_address_may_be_short(text: str, address: tuple[str, int]) -> None:
    assert parse_listen(text) == address


@pytest.mark.parametrize("text", ["host:", "host:0", "host:65536", "host:x", "0"])
def test_impossible_port_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        parse_listen(text)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([command, "--help"])
    assert exit_.value.code == 0
    assert f"dsql {command}" in capsys.readouterr().out.partition("example")[2]


def test_no_command_prints_the_list_of_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr().out
    assert all(f"\n    {command}" in printed for command in COMMANDS)
