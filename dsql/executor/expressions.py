"""From expressions to Python expressions, with SQL's NULL logic worked out at compile time.

An expression compiles to one of three forms:

    value      code for the SQL value, None for NULL, and whether it can be NULL
    is true    code that Python takes for true exactly when the value is TRUE (for WHERE, WHEN, ON)
    is false   code that Python takes for true exactly when the value is FALSE

so that `WHERE a = 1 AND NOT b` needs no three-valued AND at all: it is `a == 1 and not b`, with None
checks where a column may be NULL. A value used more than once is kept by `:=` at the place that is
evaluated first. Nothing is evaluated that SQL would not evaluate: CASE, COALESCE, AND and OR stop
where Python does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dsql.errors import SqlError
from dsql.executor import composites, values
from dsql.executor.alike import RUN_MIN, Item, runs
from dsql.executor.branches import BRANCHES_MAX, case, groups
from dsql.executor.code import Code
from dsql.executor.source import Binding, Env
from dsql.functions import array_parts
from dsql.functions.function import Function
from dsql.functions.templates import template_may_be_none
from dsql.planner.expressions import Slot, SubPlan, strip_relabel, walk
from dsql.sql import bound
from dsql.sql.bound import Expression
from dsql.types import oids, registry

if TYPE_CHECKING:
    from dsql.executor.generator import Generator

_DEPTH_MAX = 40  # CPython's parser takes 200 nested parentheses; an expression adds up to four
_ITEMS_MAX = (
    100  # of a list in one function, and several times that in a source to be compiled in one step
)
# Longer code of an expression is a function, and so is what is not short where a function has much of it.
_CHARACTERS_MAX = 4_096
_SHORT_CHARACTERS = 128
_FUNCTION_CHARACTERS_MAX = 16 * 1024
_INTEGERS = (oids.INT2, oids.INT4, oids.INT8)


@dataclass(slots=True, eq=False, kw_only=True)
class _Apart(Expression):
    """An expression to be written as a function of its own."""

    argument: Expression


class Expressions:
    """Compiles expressions for one generator."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.source = generator.source
        self._depth = 0
        self._given: dict[bound.Given, str] = {}  # the parameters that they are written as

    def value(self, node: Expression, env: Env) -> Code:
        """Return code for the value of an expression."""
        compiler = _VALUES.get(type(node))
        if compiler is None:
            raise SqlError("0A000", f"{type(node).__name__} is not supported here")
        if self._depth >= _DEPTH_MAX:
            return self.in_function(lambda: self.value(node, env))
        self._depth += 1
        try:
            code = compiler(self, node, env)
        finally:
            self._depth -= 1
        return code if len(code.text) <= _SHORT_CHARACTERS else self._bounded(code)

    def _bounded(self, code: Code) -> Code:
        """Return code, as the call of a function of its own if there is too much of it."""
        function = self.source.function
        function.expression_characters += len(code.text)
        if len(code.text) > _CHARACTERS_MAX:
            return self.in_function(lambda: code)
        if function.expression_characters > _FUNCTION_CHARACTERS_MAX:
            return self.in_function(lambda: code)
        return code

    def in_function(self, write: Callable[[], Code]) -> Code:
        """Compile an expression as a function of its own."""
        depth, self._depth = self._depth, 0
        name = self.source.fresh("deep_")
        with self.source.nested(name):
            code = write()
            self.source.line(f"return {code.text}")
        self._depth = depth
        return Code(self.source.call(name), code.nullable)

    def true(self, node: Expression, env: Env) -> str:
        """Return a condition that holds when the expression is TRUE."""
        return self._test(node, env, wanted=True)

    def false(self, node: Expression, env: Env) -> str:
        """Return a condition that holds when the expression is FALSE."""
        return self._test(node, env, wanted=False)

    def _test(self, node: Expression, env: Env, *, wanted: bool) -> str:
        if self._depth >= _DEPTH_MAX:
            return self.in_function(lambda: Code(self._test(node, env, wanted=wanted), False)).text
        self._depth += 1
        try:
            test = self._condition(node, env, wanted)
        finally:
            self._depth -= 1
        return test if len(test) <= _SHORT_CHARACTERS else self._bounded(Code(test, False)).text

    def _condition(self, node: Expression, env: Env, wanted: bool) -> str:
        while isinstance(node, bound.Not):
            node, wanted = node.argument, not wanted
        if isinstance(node, _Apart):
            inner = node.argument
            return self.in_function(lambda: Code(self._test(inner, env, wanted=wanted), False)).text
        if isinstance(node, bound.And | bound.Or):
            word = " and " if isinstance(node, bound.And) is wanted else " or "
            parts = self._gathered(node)
            return _join(word, [self._test(part, env, wanted=wanted) for part in parts])
        if isinstance(node, bound.Alike) and node.joined is not bound.Coalesce:
            quantifier = "all" if (node.joined is bound.And) is wanted else "any"
            each = self.each(node, lambda part: self._test(part, env, wanted=wanted))
            return f"{quantifier}({each})"
        if isinstance(node, bound.Call) and node.function.strict and not node.function.returns_set:
            guards, code = self._strict_call(node.function, node.arguments, env)
            last = code.text if wanted else _is_false(code)
            return _join(" and ", [*(f"{guard} is not None" for guard in guards), last])
        code = self.value(node, env)
        return f"({code.text})" if wanted else _is_false(code)

    def atom(self, node: Expression, env: Env) -> Code:
        """Return a name for the value, assigned by a statement if need be."""
        code = self.value(node, env)
        if code.atom:
            return code
        name = self.source.fresh("v")
        self.source.line(f"{name} = {code.text}")
        return Code(name, code.nullable)

    def named(self, code: Code) -> tuple[str, str]:
        """Return (name, code that assigns it and has its value) for a value used more than once."""
        if code.atom:
            return code.text, code.text
        name = self.source.fresh("t")
        return name, f"({name} := {code.text})"

    def several(self, nodes: Sequence[Expression], env: Env) -> tuple[Sequence[Code], str]:
        """Return the values that one call, array or row is made of, and their flight (`in_flight`)."""
        codes = [self.value(node, env) for node in nodes]
        return self._generator.in_flight(nodes, codes)

    # ------------------------------------------------------------ long lists

    def _gathered(self, node: bound.And | bound.Or | bound.Coalesce) -> Sequence[Expression]:
        """Return a few arguments: those that are alike are one, and many others are in groups."""
        if len(node.arguments) < RUN_MIN:
            return node.arguments
        arguments = [(argument,) for argument in node.arguments]
        found: list[Expression] = [
            item if isinstance(item, bound.Alike) else item[0]
            for item in runs(arguments, type(node))
        ]
        while len(found) > BRANCHES_MAX:
            several = [dataclasses.replace(node, arguments=[*group]) for group in groups(found)]
            found = [
                _Apart(type_oid=node.type_oid, typmod=node.typmod, argument=group)
                for group in several
            ]
        return found

    def each(self, alike: bound.Alike, write: Callable[..., str]) -> str:
        """Return an iterator over what `write` makes of expressions that are alike."""
        count = len(alike.order)
        each = [self._each(template, count, write) for template in alike.templates]
        if len(each) == 1:
            return each[0]
        in_turns = self.source.constant(values.in_turns)
        return f"{in_turns}({self.source.constant(alike.order, 'order')}, ({', '.join(each)},))"

    def _each(self, template: Sequence[Expression], count: int, write: Callable[..., str]) -> str:
        """Return an iterator over the expressions of a template, `count` of them if nothing is given."""
        source, name = self.source, self.source.fresh("each")
        given = [node for part in template for node in walk(part) if type(node) is bound.Given]
        names = [source.fresh("given") for _ in given] or [source.fresh("number")]
        self._given.update(zip(given, names, strict=False))
        depth, self._depth = self._depth, 0
        with source.nested(name, ", ".join(names)):
            source.line(f"return {write(*template)}")
        self._depth = depth
        columns = ", ".join(map(self._column, given)) or f"range({count})"
        return f"map({source.partial(name)}, {columns})"

    def _column(self, given: bound.Given) -> str:
        """Return code of what is given one after the other."""
        if isinstance(given.values[0], bound.Parameter):
            return self._generator.parameters([node.index for node in given.values])
        return self.source.constant(given.values, "column")

    def listed(self, nodes: Sequence[Expression], env: Env) -> tuple[list[str], str]:
        """Return the items of a list display, and their flight (`Generator.in_flight`)."""
        if len(nodes) < RUN_MIN and bound.Alike not in map(type, nodes):
            codes, flight = self.several(nodes, env)
            return [code.text for code in codes], flight
        flight = self._generator.flight(nodes)

        def write(node: Expression) -> str:
            code = self.value(node, env)
            return f"{flight}.take({code.text})" if flight and not code.atom else code.text

        def written(items: Sequence[Item]) -> list[str]:
            return [
                f"*{self.each(item, write)}" if isinstance(item, bound.Alike) else write(item[0])
                for item in items
            ]

        def in_function(items: Sequence[Item]) -> str:
            return self.in_function(lambda: Code(f"({', '.join(written(items))},)", False)).text

        found = [*runs(node if isinstance(node, bound.Alike) else (node,) for node in nodes)]
        if len(found) <= _ITEMS_MAX:
            return written(found), flight
        starts = range(0, len(found), _ITEMS_MAX)
        texts = [f"*{in_function(found[start : start + _ITEMS_MAX])}" for start in starts]
        return texts, flight

    def yield_rows(self, rows: Sequence[Item], write: Callable[..., str]) -> None:
        """Write the statements that yield what `write` makes of the expressions of each row."""
        source = self.source
        found = [*runs(rows)] if len(rows) >= RUN_MIN else rows
        if len(found) > _ITEMS_MAX:
            for start in range(0, len(found), _ITEMS_MAX):
                name = source.fresh("rows")
                with source.nested(name):
                    self._yield(found[start : start + _ITEMS_MAX], write)
                source.line(f"yield from {source.call(name)}")
        else:
            self._yield(found, write)

    def _yield(self, rows: Sequence[Item], write: Callable[..., str]) -> None:
        for row in rows:
            if isinstance(row, bound.Alike):
                self.source.line(f"yield from {self.each(row, write)}")
            else:
                self.source.line(f"yield {write(*row)}")

    # ------------------------------------------------------------ calls

    def _strict_call(
        self, function: Function, arguments: Sequence[Expression], env: Env
    ) -> tuple[list[str], Code]:
        """Return the code that must not be None, in order of evaluation, and the call after that."""
        codes = [self.value(argument, env) for argument in arguments]
        return self.strict_application(function, codes)

    def strict_application(
        self, function: Function, codes: Sequence[Code]
    ) -> tuple[list[str], Code]:
        """Apply a strict function to compiled arguments: guards, and the call after them."""
        guards: list[str] = []
        texts: list[str] = []
        for position, code in enumerate(codes):
            several = function.template.count(f"{{{position}}}") != 1
            if code.nullable and code.atom:
                guards.append(code.text)
            elif code.nullable or (several and function.template and not code.atom):
                name = self.source.fresh("t")
                guards.append(f"({name} := {code.text})")
                code = Code(name, nullable=False)
            texts.append(code.text if code.atom else f"({code.text})")
        return guards, self._application(function, texts)

    def _application(self, function: Function, texts: list[str]) -> Code:
        if function.template:
            nullable = function.return_type != oids.BOOL and template_may_be_none(function.template)
            return Code(f"({function.template.format(*texts)})", nullable)
        name = self.source.constant(function.implementation, "f")
        if function.needs_context:
            texts = ["context", *texts]
        return Code(f"{name}({', '.join(texts)})", nullable=True)

    def call(self, function: Function, codes: Sequence[Code]) -> Code:
        """Return the value of a function of compiled arguments."""
        if function.strict:
            guards, code = self.strict_application(function, codes)
            return _guarded(guards, code)
        texts = []
        for position, code in enumerate(codes):
            several = function.template.count(f"{{{position}}}") != 1
            if function.template and several and not code.atom:
                name = self.source.fresh("lazy_")
                with self.source.nested(name):
                    self.source.line(f"return {code.text}")
                texts.append(self.source.call(name))
            else:
                texts.append(code.text)
        return self._application(function, texts)


def _join(word: str, parts: list[str]) -> str:
    return f"({word.join(parts)})" if len(parts) > 1 else parts[0]


def _is_false(code: Code) -> str:
    return f"({code.text}) is False" if code.nullable else f"(not ({code.text}))"


def _guarded(guards: list[str], code: Code) -> Code:
    if not guards:
        return code
    condition = " or ".join(f"{guard} is None" for guard in guards)
    return Code(f"(None if {condition} else {code.text})", nullable=True)


def _constant(compiler: Expressions, node: Any, _env: Env) -> Code:
    return Code(compiler.source.constant(node.value), node.value is None)


def _parameter(compiler: Expressions, node: Any, _env: Env) -> Code:
    return Code(compiler._generator.parameter(node.index), nullable=True)


def _slot(_compiler: Expressions, node: Any, env: Env) -> Code:
    binding: Binding = env[node.id]
    return Code(binding.code, binding.nullable)


def _given(compiler: Expressions, node: Any, _env: Env) -> Code:
    return Code(compiler._given[node], nullable=node.nullable)


def _alike(compiler: Expressions, node: Any, env: Env) -> Code:
    each = compiler.each(node, lambda part: compiler.value(part, env).text)
    function = compiler.source.constant(_OF_EACH[node.joined], "f")
    return Code(f"{function}({each})", nullable=True)


_OF_EACH: dict[type, Callable[..., Any]] = {
    bound.And: values.conjunction,
    bound.Or: values.disjunction,
    bound.Coalesce: values.first,
}


def _call(compiler: Expressions, node: Any, env: Env) -> Code:
    if node.function.returns_set:
        raise SqlError("0A000", "set-returning functions are not allowed here")
    codes, flight = compiler.several(node.arguments, env)
    code = compiler.call(node.function, codes)
    return Code(f"{flight}.give({code.text})", code.nullable) if flight else code


def _relabel(compiler: Expressions, node: Any, env: Env) -> Code:
    return compiler.value(node.argument, env)


def _text_cast(compiler: Expressions, node: Any, env: Env) -> Code:
    code = compiler.value(node.argument, env)
    name = compiler.source.fresh("t")
    guard = code.text if code.atom else f"({name} := {code.text})"
    value = code.text if code.atom else name
    if node.argument.type_oid in _INTEGERS and node.type_oid == oids.TEXT:
        result = f"str({value})"  # as the text format is, without its bytes
    else:
        encode = compiler._generator.text_encoder(node.argument.type_oid)
        result = f"{compiler._generator.text_decoder(node.type_oid)}({encode}({value}))"
    return Code(f"(None if {guard} is None else {result})", code.nullable)


def _apply_typmod(compiler: Expressions, node: Any, env: Env) -> Code:
    code = compiler.value(node.argument, env)
    enforce = values.typmod_enforcer(node.type_oid, node.typmod, explicit=node.explicit)
    if enforce is None:
        return code
    name = compiler.source.constant(enforce, "enforce")
    if not code.nullable:
        return Code(f"{name}({code.text})", nullable=False)
    temporary = compiler.source.fresh("t")
    guard = code.text if code.atom else f"({temporary} := {code.text})"
    value = code.text if code.atom else temporary
    return Code(f"(None if {guard} is None else {name}({value}))", nullable=True)


def _and_or(absorbing: bool) -> Callable[[Expressions, Any, Env], Code]:
    def compile_connective(compiler: Expressions, node: Any, env: Env) -> Code:
        codes = [compiler.value(part, env) for part in compiler._gathered(node)]
        if not any(code.nullable for code in codes):
            word = " or " if absorbing else " and "
            return Code(f"({word.join(code.text for code in codes)})", nullable=False)
        names, tests = [], []
        for code in codes:
            name = code.text
            test = name
            if not code.atom:
                name = compiler.source.fresh("t")
                test = f"({name} := {code.text})"
            names.append((name, code.nullable))
            tests.append(f"{test} is {absorbing}")
        nulls = " or ".join(f"{name} is None" for name, nullable in names if nullable)
        return Code(
            f"({absorbing} if {' or '.join(tests)} else None if {nulls} else {not absorbing})",
            nullable=True,
        )

    return compile_connective


def _not(compiler: Expressions, node: Any, env: Env) -> Code:
    code = compiler.value(node.argument, env)
    if not code.nullable:
        return Code(f"(not {code.text})", nullable=False)
    name, guard = compiler.named(code)
    return Code(f"(None if {guard} is None else not {name})", nullable=True)


def _null_test(compiler: Expressions, node: Any, env: Env) -> Code:
    code = compiler.value(node.argument, env)
    if registry.is_composite(node.argument.type_oid):
        function = values.all_fields_present if node.negated else values.all_fields_null
        return Code(f"{compiler.source.constant(function)}({code.text})", nullable=False)
    if not code.nullable:
        return Code(repr(node.negated), nullable=False)
    word = "is not None" if node.negated else "is None"
    return Code(f"({code.text} {word})", nullable=False)


def _boolean_test(compiler: Expressions, node: Any, env: Env) -> Code:
    code = compiler.value(node.argument, env)
    word = "is not" if node.negated else "is"
    return Code(f"({code.text} {word} {node.value})", nullable=False)


def _distinct(compiler: Expressions, node: Any, env: Env) -> Code:
    left, right = compiler.value(node.left, env), compiler.value(node.right, env)
    (a, first), (b, second) = compiler.named(left), compiler.named(right)
    equal = compiler.call(node.equal, [Code(a, False), Code(b, False)]).text
    same = f"(({second} is None) if {first} is None else (False if {second} is None else {equal}))"
    return Code(same if node.negated else f"(not {same})", nullable=False)


def _null_if(compiler: Expressions, node: Any, env: Env) -> Code:
    left, right = compiler.value(node.left, env), compiler.value(node.right, env)
    (a, first), (b, second) = compiler.named(left), compiler.named(right)
    equal = compiler.call(node.equal, [Code(a, False), Code(b, False)]).text
    text = f"(None if {first} is None else {a} if {second} is None else None if {equal} else {a})"
    return Code(text, nullable=True)


def _coalesce(compiler: Expressions, node: Any, env: Env) -> Code:
    codes = [compiler.value(argument, env) for argument in compiler._gathered(node)]
    parts: list[str] = []
    for code in codes[:-1]:
        if not code.nullable:
            return Code(f"({''.join(parts)}{code.text})", nullable=False)
        name, guard = compiler.named(code)
        parts.append(f"{name} if {guard} is not None else ")
    return Code(f"({''.join(parts)}{codes[-1].text})", codes[-1].nullable)


def _apart(compiler: Expressions, node: Any, env: Env) -> Code:
    return compiler.in_function(lambda: compiler.value(node.argument, env))


def _min_max(compiler: Expressions, node: Any, env: Env) -> Code:
    items, flight = compiler.listed(node.arguments, env)
    less = compiler.source.constant(node.less.implementation, "f")
    function = compiler.source.constant(values.greatest if node.greatest else values.least)
    text = f"{function}({less}, ({', '.join(items)},))"
    return Code(f"{flight}.give({text})" if flight else text, nullable=True)


def _array_compare(compiler: Expressions, node: Any, env: Env) -> Code:
    left, array = compiler.value(node.left, env), compiler.value(node.array, env)
    element = registry.get(node.function.argument_types[1])
    if node.strategy == "=" and not node.all and element.hash_key is None:
        return _membership(compiler, node, left, array)
    function = compiler.source.constant(node.function.implementation, "f")
    compare = compiler.source.constant(values.all_elements if node.all else values.any_element)
    return Code(f"{compare}({function}, {left.text}, {array.text})", nullable=True)


def _membership(compiler: Expressions, node: Any, left: Code, array: Code) -> Code:
    literal = strip_relabel(node.array)
    elements = _constant_elements(literal)
    if elements and None not in elements:  # of none it is FALSE, NULL or not
        values_set = compiler.source.constant(frozenset(elements), "set")
        name, guard = compiler.named(left)
        if not left.nullable:
            return Code(f"({left.text} in {values_set})", nullable=False)
        return Code(f"(None if {guard} is None else {name} in {values_set})", nullable=True)
    function = compiler.source.constant(values.contained)
    return Code(f"{function}({left.text}, {array.text})", nullable=True)


def _constant_elements(node: Expression) -> list[Any] | None:
    """Return the elements of an array that is a constant or made of constants."""
    if isinstance(node, bound.Constant) and isinstance(node.value, list):
        flat = node.value
    elif isinstance(node, bound.ArrayConstructor) and not node.multidimensional:
        if not all(isinstance(item, bound.Constant) for item in node.elements):
            return None
        flat = [item.value for item in node.elements if isinstance(item, bound.Constant)]
    else:
        return None
    return None if any(isinstance(item, list) for item in flat) else flat


def _array(compiler: Expressions, node: Any, env: Env) -> Code:
    items, flight = compiler.listed(node.elements, env)
    text = f"[{', '.join(items)}]"
    if node.multidimensional:
        text = f"{compiler.source.constant(array_parts.stack_arrays)}({text})"
    return Code(f"{flight}.give({text})" if flight else text, nullable=False)


def _subscript(compiler: Expressions, node: Any, env: Env) -> Code:
    def texts(items: Sequence[Expression | None]) -> str:
        codes = (compiler.value(item, env).text if item else "ABSENT" for item in items)
        return "".join(f"{code}, " for code in codes)

    array = compiler.value(node.array, env).text
    compiler.source.names["ABSENT"] = array_parts.ABSENT
    if node.slice:
        function = compiler.source.constant(array_parts.array_slice)
        return Code(
            f"{function}({array}, ({texts(node.indexes)}), ({texts(node.upper)}))", nullable=True
        )
    function = compiler.source.constant(array_parts.array_element)
    return Code(f"{function}({array}, ({texts(node.indexes)}))", nullable=True)


def _subplan(compiler: Expressions, node: Any, env: Env) -> Code:
    return compiler._generator.subplan(node, env)


def _default(_compiler: Expressions, _node: Any, _env: Env) -> Code:
    return Code("None", nullable=True)


_VALUES: dict[type, Callable[[Expressions, Any, Env], Code]] = {
    Slot: _slot,
    SubPlan: _subplan,
    _Apart: _apart,
    bound.Alike: _alike,
    bound.Given: _given,
    bound.Constant: _constant,
    bound.Parameter: _parameter,
    bound.Call: _call,
    bound.Relabel: _relabel,
    bound.TextCast: _text_cast,
    bound.ApplyTypmod: _apply_typmod,
    bound.And: _and_or(absorbing=False),
    bound.Or: _and_or(absorbing=True),
    bound.Not: _not,
    bound.NullTest: _null_test,
    bound.BooleanTest: _boolean_test,
    bound.Distinct: _distinct,
    bound.NullIf: _null_if,
    bound.Case: case,
    bound.Coalesce: _coalesce,
    bound.MinMax: _min_max,
    bound.ArrayCompare: _array_compare,
    bound.ArrayConstructor: _array,
    bound.Subscript: _subscript,
    bound.RowConstructor: composites.row,
    bound.FieldSelect: composites.field,
    bound.RowCompare: composites.comparison,
    bound.DefaultValue: _default,
}
