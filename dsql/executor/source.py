"""Writing Python source: functions inside functions, fresh names, constants, and slots as variables.

The code of a plan is one function. Where a plan needs a loop of its own (a LIMIT below something
else, a subquery) a nested function is written in front of the enclosing one's body. It sees the
variables of the enclosing functions through closures, which is how a correlated subquery reads the
outer row.

Functions nest as deep as plans do, but Python's indentation only to 100: from some depth on a function
is lifted, that is written beside those of the outermost function, and given what it reads of the
functions it came from as parameters. `call` writes calls of both kinds.

No interrupt can cut Python's own compiling, some 20 ms for `_UNIT_CHARACTERS`. So a function is also lifted
where the one that it is written in would grow larger than that, out of the outermost function as well: it
is compiled as a unit of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dsql.executor.codes import code_of

_INDENT = "    "
_NESTED_FUNCTIONS_MAX = 8  # deeper ones are lifted
_UNIT_CHARACTERS = 32 * 1024
# A string, or a name; attributes are none.
_NAME = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<![\w.])([A-Za-z_]\w*)""")
_ASSIGNED = re.compile(r"(\w+) := ")
_NUMBER = re.compile(r"(?<=\D)[0-9]+$")  # with which `fresh` ends a name


@dataclass(frozen=True, slots=True)
class Binding:
    """What a slot is in the code: a name or another cheap expression without effects."""

    code: str
    nullable: bool = True


Env = Mapping[int, Binding]
Consume = Callable[[Env], None]


@dataclass(slots=True)
class Function:
    """A function while it is written."""

    name: str
    parameters: str = ""
    stop: str = "return"  # the statement that ends the function early
    nesting: int = 0  # in how many functions it is written
    first: int = (
        0  # number of the names that are fresh in it; it reads those before as its enclosers'
    )
    passed: list[str] = field(default_factory=list)
    prologue: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    depth: int = 1
    loops: int = 0
    nested_characters: int = 0  # of the functions in `prologue`
    expression_characters: int = (
        0  # of the longer expressions, each as often as it is inside another one
    )

    def text(self) -> list[str]:
        """Return its lines, indented as a top-level function."""
        header = f"def {self.name}({_list([*self.passed, self.parameters])}):"
        lines = [header, *(_INDENT + line for line in self.prologue), *self.body]
        return lines if len(lines) > 1 else [*lines, _INDENT + "pass"]


def _list(items: Iterable[str]) -> str:
    return ", ".join(item for item in items if item)


class Source:
    """The source of one program, growing."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self._names = 0  # that were fresh
        self._functions: list[Function] = []
        self._constants: dict[Any, str] = {}
        self._passed: dict[str, list[str]] = {}  # what lifted functions are given
        self._units: dict[str, str] = {}  # their sources, by name
        self._set_up: set[str] = set()
        self.once: dict[Any, str] = {}  # what the outermost function has set up, by key

    @property
    def function(self) -> Function:
        """The function being written."""
        return self._functions[-1]

    def fresh(self, prefix: str) -> str:
        """Return a name that is used nowhere else in the program."""
        self._names += 1
        return f"{prefix}{self._names}"

    def line(self, text: str) -> None:
        """Add a statement to the current block."""
        function = self.function
        function.body.append(_INDENT * function.depth + text)

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """Open a block (`if x:`, `for y in z:`) around the statements written inside."""
        self.line(header)
        function = self.function
        function.depth += 1
        before = len(function.body)
        looping = header.startswith(("for ", "while "))
        function.loops += looping
        yield
        if len(function.body) == before:
            self.line("pass")
        function.depth -= 1
        function.loops -= looping

    @contextmanager
    def nested(
        self,
        name: str,
        parameters: str = "",
        *,
        stop: str = "return",
        closure: bool = False,
        apart: bool = False,
    ) -> Iterator[None]:
        """Write a function in front of the current one's body, or lift it.

        A `closure` is never lifted, and what stands `apart` always, because it reads nothing but its
        parameters: both can be called by their bare names, from anywhere.
        """
        nesting = self._functions[-1].nesting + 1 if self._functions else 0
        lifted = nesting > _NESTED_FUNCTIONS_MAX and not closure
        function = Function(name, parameters, stop, 1 if lifted else nesting, self._names + 1)
        self._functions.append(function)
        yield
        self._functions.pop()
        if apart or not self._functions:
            self._units[name] = _joined(function.text())
            return
        size = sum(map(len, function.prologue)) + sum(map(len, function.body))
        outer = self._functions[0 if lifted else -1]
        if not closure and outer.nested_characters + size > _UNIT_CHARACTERS:
            function.passed = self._passed[name] = self._read_outside(function, alone=True)
            self._units[name] = _joined(function.text())
            return
        if lifted:
            function.passed = self._passed[name] = self._read_outside(function)
        outer.prologue += function.text()
        outer.nested_characters += size

    def yields(self) -> None:
        """Make the function a generator even if no row ever comes to be yielded."""
        self.line("if False: yield")

    def call(self, name: str, arguments: str = "") -> str:
        """Return the call of a function that was written before."""
        return f"{name}({_list([*self._passed.get(name, ()), arguments])})"

    def partial(self, name: str) -> str:
        """Return a function that was written before, to be called with its own parameters only."""
        passed = self._passed.get(name)
        if not passed:
            return name
        self.names["partial"] = partial
        return f"partial({_list([name, *passed])})"

    def _read_outside(self, function: Function, *, alone: bool = False) -> list[str]:
        """Return the variables of enclosing functions that a function reads.

        Those of the outermost one only for a function that is to be `alone`: others are inside of it.
        """
        text = "\n".join((*function.prologue, *function.body))
        words = {*_NAME.findall(text)}.difference(_ASSIGNED.findall(text))
        words -= {"", *function.parameters.split(", "), *self.names, *self._units}
        outermost = self._functions[0].parameters.split(", ") if alone else ()
        return sorted(
            word
            for word in words
            if word in outermost
            or (
                alone
                if word in self._passed or word in self._set_up
                else (number := _NUMBER.search(word)) and int(number.group()) < function.first
            )
        )

    def setup(self, key: Any, prefix: str, expression: str) -> str:
        """Compute something once per execution, before everything else; return its name."""
        name = self.once.get(key)
        if name is None:
            name = self.once[key] = self.fresh(prefix)
            self._set_up.add(name)
            self._functions[0].prologue.insert(self._setup_end, f"{name} = {expression}")
            self._setup_end += 1
        return name

    _setup_end = 0

    def constant(self, value: Any, prefix: str = "k") -> str:
        """Return code for a value: a literal where Python has one, else the name of a global."""
        if value is None or type(value) in (bool, int):
            return f"({value})" if type(value) is int and value < 0 else repr(value)
        if type(value) in (str, bytes) and len(value) < 200:
            return repr(value)
        key = (type(value), repr(value)) if type(value) is float else id(value)
        name = self._constants.get(key)
        if name is None:
            name = self._constants[key] = self.fresh(prefix)
            self.names[name] = value
        return name

    def compile(self, name: str, names: Mapping[str, Any]) -> tuple[Any, str]:
        """Compile what was written as the function `name`; return it with its source."""
        namespace = {**names, **self.names}
        for text in self._texts():
            exec(code_of(text), namespace)
        return namespace[name], "".join(self._units.values())

    def _texts(self) -> Iterator[str]:
        """Yield the units, small ones together."""
        together = ""
        for text in self._units.values():
            if together and len(together) + len(text) > _UNIT_CHARACTERS:
                yield together
                together = ""
            together += text
        yield together


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
