"""`dsql completion`: a script that lets a shell complete the commands, options and choices of `dsql`.

The script is made of the parsers themselves and is self-contained: completing starts no Python.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

from dsql.cli.main import COMMANDS, make_parser

PROGRAM = "dsql"
_FOR_ZSH = str.maketrans("[]:", "();")  # which mean something in its specifications
_PATH_OPTIONS = {"--data", "--env-file"}


class Option(NamedTuple):
    """An option, or the positional argument if `names` is empty. `values`: what it may be, if few."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    values: tuple[str, ...]

    @property
    def is_path(self) -> bool:
        """Whether its value is a file or folder."""
        return self.takes_value and not _PATH_OPTIONS.isdisjoint(self.names)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the shells."""
    parser.epilog = (
        "examples:\n"
        "  dsql completion bash > ~/.local/share/bash-completion/completions/dsql\n"
        '  dsql completion zsh > "${fpath[1]}/_dsql"\n'
        "  dsql completion fish > ~/.config/fish/completions/dsql.fish"
    )
    parser.add_argument("shell", choices=tuple(SHELLS))


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print(SHELLS[arguments.shell](commands()), end="")
    return 0


def commands() -> dict[str, list[Option]]:
    """Return the options of each command."""
    found = {}
    parser = make_parser(COMMANDS)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found = {name: list(_options(sub)) for name, sub in action.choices.items()}
    return found


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if action.help == argparse.SUPPRESS:
            continue
        values = tuple(str(choice) for choice in action.choices or ())
        takes_value = action.nargs != 0 and not isinstance(action, argparse.BooleanOptionalAction)
        text = " ".join(((action.help or "") % vars(action)).split())
        yield Option(tuple(action.option_strings), text, takes_value, values)


def _bash(known: dict[str, list[Option]]) -> str:
    cases = []
    for command, options in known.items():
        words = [name for option in options for name in option.names]
        words += [value for option in options if not option.names for value in option.values]
        values = "".join(
            f"            {'|'.join(option.names)}) {_bash_value(option)}return ;;\n"
            for option in options
            if option.names and option.takes_value
        )
        inner = f'        case "$before" in\n{values}        esac\n' if values else ""
        cases.append(f"    {command})\n{inner}        words='{' '.join(words)}' ;;\n")
    return (
        f"# bash completion of {PROGRAM}\n"
        f"_{PROGRAM}() {{\n"
        '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" words\n'
        "    COMPREPLY=()\n"
        '    ((COMP_CWORD == 1)) && set -- || set -- "${COMP_WORDS[1]}"\n'
        '    case "${1-}" in\n'
        f"{''.join(cases)}"
        f"    *) words='{' '.join(known)} --help' ;;\n"
        "    esac\n"
        '    COMPREPLY=($(compgen -W "$words" -- "$word"))\n'
        "}\n"
        f"complete -o bashdefault -o default -F _{PROGRAM} {PROGRAM}\n"
    )


def _bash_value(option: Option) -> str:
    """Return what offers the values of an option; nothing where only the user can know."""
    if not option.is_path and not option.values:
        return ""
    source = "-f" if option.is_path else f"-W '{' '.join(option.values)}'"
    return f'COMPREPLY=($(compgen {source} -- "$word")); '


def _zsh(known: dict[str, list[Option]]) -> str:
    summaries = "\n".join(f"        {_quoted(f'{name}:{COMMANDS[name][1]}')}" for name in known)
    cases = []
    for command, options in known.items():
        specs = " \\\n            ".join(_quoted(spec) for o in options for spec in _zsh_specs(o))
        cases.append(f"    {command}) _arguments \\\n            {specs} ;;\n")
    return (
        f"#compdef {PROGRAM}\n"
        f"_{PROGRAM}() {{\n"
        f"    local -a commands=(\n{summaries}\n    )\n"
        "    if ((CURRENT == 2)); then _describe command commands; return; fi\n"
        "    shift words; ((CURRENT--))\n"
        '    case "${words[1]}" in\n'
        f"{''.join(cases)}"
        "    esac\n"
        "}\n"
        f'_{PROGRAM} "$@"\n'
    )


def _zsh_specs(option: Option) -> Iterator[str]:
    text = option.help.translate(_FOR_ZSH)
    action = "_files" if option.is_path else f"({' '.join(option.values)})" if option.values else ""
    if not option.names:
        yield f"*:{text}:{action}"
    for name in option.names:
        yield f"{name}[{text}]" + (f":value:{action}" if option.takes_value else "")


def _fish(known: dict[str, list[Option]]) -> str:
    lines = [f"# fish completion of {PROGRAM}", f"complete -c {PROGRAM} -f"]
    for name in known:
        summary = _quoted(COMMANDS[name][1])
        lines.append(f"complete -c {PROGRAM} -n __fish_use_subcommand -a {name} -d {summary}")
    for command, options in known.items():
        prefix = f"complete -c {PROGRAM} -n '__fish_seen_subcommand_from {command}'"
        lines += [f"{prefix} {_fish_spec(option)}" for option in options]
    return "\n".join(lines) + "\n"


def _fish_spec(option: Option) -> str:
    words = [
        f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names
    ]
    if option.names and option.takes_value:
        words.append("-r" if option.is_path else "-x")
    if option.is_path:
        words.append("-F")
    if option.values:
        words.append(f"-a {_quoted(' '.join(option.values))}")
    return " ".join([*words, f"-d {_quoted(option.help)}"])


def _quoted(text: str) -> str:
    """Return a help text as one word of any of the three shells."""
    return "'" + text.replace("\\", "/").replace("'", "") + "'"


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
