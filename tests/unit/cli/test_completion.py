from __future__ import annotations

import shutil
import subprocess

import pytest

from dsql.cli.completion import SHELLS, commands
from dsql.cli.main import COMMANDS, main


def complete(line: str) -> set[str]:
    """Return what bash offers at the end of a line."""
    words = line.split(" ")
    array = " ".join(f"'{word}'" for word in words)
    script = (
        f"{SHELLS['bash'](commands())}\n"
        f"COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _dsql; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    found = subprocess.run(["bash", "-uc", script], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


def test_every_command_has_its_options() -> None:
    assert commands().keys() == COMMANDS.keys()
    assert all(any("--help" in option.names for option in found) for found in commands().values())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("dsql sta", {"status"}),
        ("dsql up --prof", {"--profile"}),
        ("dsql up --profile ", {"dsql", "postgres"}),
        ("dsql up --region ", set()),
        ("dsql agent re", {"reseed"}),
        ("dsql completion ", {"bash", "zsh", "fish", "-h", "--help"}),
    ],
)
def test_bash_offers_commands_options_and_choices(line: str, offered: set[str]) -> None:
    assert complete(line) == offered


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_can_read_their_scripts(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=SHELLS[shell](commands()), text=True, check=True)


def test_the_script_is_printed(capsys) -> None:
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == SHELLS["bash"](commands())
