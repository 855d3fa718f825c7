"""What the tutorial and the how-to pages show is run: Python by our interpreter, consoles by bash.

Of a page's `python` blocks one program is made. In a `console` block lines with $ are commands, those with
> belong to the one above, and the rest is what they print, where ... stands for anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_cluster import free_port

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.S | re.M)
# Run where there is an API: integration/test_control_plane.py.
API_PAGES = ("clusters", "identities")
PAGES = [path.stem for path in sorted((DOCS / "howto").glob("*.md")) if path.stem not in API_PAGES]
PYTEST_PAGE = "pytest"
SECONDS_MAX = 120.0


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language]


def commands(console: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console and what it prints."""
    command, printed = "", ""
    for line in [*console.splitlines(), "$ "]:
        if line.startswith("$ "):
            if command:
                yield command, printed
            command, printed = line[2:], ""
        elif line.startswith("> ") or line == ">":
            command += f"\n{line[2:]}"
        else:
            printed += f"{line}\n"


def pattern(printed: str) -> re.Pattern[str]:
    return re.compile(re.escape(printed).replace(r"\.\.\.", ".*"), re.S)


class Shell:
    """One bash, in whose state commands run one after the other; `dsql` and `python` are the tests' own."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PSQLRC": os.devnull,
        }
        self._folder = folder
        self._bash = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str) -> str:
        """Return what a command prints. It goes to a file: servers that it leaves would hold a pipe."""
        assert self._bash.stdin is not None
        output, done = self._folder / "output", self._folder / "done"
        os.mkfifo(done)
        self._bash.stdin.write(f"{{ {command}\n}} > {output} 2>&1\necho > {done}\n")
        self._bash.stdin.flush()
        done.read_text()
        done.unlink()
        return output.read_text()

    def close(self) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        self._bash.wait(SECONDS_MAX)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    running = Shell(tmp_path)
    yield running
    running.close()


def check_consoles(shell: Shell, page: Path) -> None:
    for console in blocks(page, "console"):
        for command, printed in commands(console):
            seen = shell.run(command)
            assert pattern(printed).fullmatch(seen), (command, seen)


def test_the_tutorial_is_true(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for what it installs, and for the port, which may not be free."""
    page = (DOCS / "tutorial.md").read_text("utf-8")
    page = re.sub(r"^\$ pip install .*\n", "", page, flags=re.M)
    page = page.replace("127.0.0.1:5432", f"127.0.0.1:{free_port()}")
    page = page.replace("dsql doctor\n", "dsql doctor || true\n")
    path = shell._folder / "tutorial.md"
    path.write_text(page)
    try:
        check_consoles(shell, path)
    finally:
        shell.run("dsql down")


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_shows_works(
    name: str, dsql_environment: dict[str, str], shell: Shell, tmp_path: Path
) -> None:
    page = DOCS / "howto" / f"{name}.md"
    check_consoles(shell, page)
    program = "\n".join(blocks(page, "python"))
    if not program:
        return
    path = tmp_path / "test_page.py"
    path.write_text(program)
    # The page about pytest has tests, for which one server more would have to be started.
    words = ["-m", "py_compile"] if name == PYTEST_PAGE else ["-W", "error::SyntaxWarning"]
    answer = subprocess.run(
        [sys.executable, *words, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS_MAX,
    )
    assert answer.returncode == 0, answer.stderr


@pytest.fixture(params=blocks(DOCS / "howto" / f"{PYTEST_PAGE}.md", "python"))
def page_of_tests(request: pytest.FixtureRequest) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(request.param, names)
    return names


def test_tests_of_the_pages_kind_pass(page_of_tests, request: pytest.FixtureRequest) -> None:
    """They are run with the fixtures that they name, as pytest would."""
    tests = [value for name, value in page_of_tests.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        code = test.__code__
        names = code.co_varnames[: code.co_argcount]
        test(**{name: request.getfixturevalue(name) for name in names})


def test_every_page_is_in_the_navigation() -> None:
    index = (DOCS / "index.md").read_text("utf-8")
    assert [name for name in (*PAGES, *API_PAGES) if f"\nhowto/{name}\n" not in index] == []
