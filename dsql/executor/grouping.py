"""Code of aggregation.

Groups live in a dict from key to a list: the accumulators, then the keys, then the first row's values of
whatever is needed above besides. Without GROUP BY the accumulators are local variables. With several
grouping sets each row counts once for each of them, under keys that begin with the set's number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from operator import itemgetter

from dsql.executor.accumulation import Accumulation, keeps_input
from dsql.executor.code import Code
from dsql.executor.distinct import distinct_key, key_parts
from dsql.executor.generator import Generator, tuple_code, unpack_code
from dsql.executor.memory import SAMPLE_EVERY
from dsql.executor.source import Binding, Consume, Env
from dsql.planner import plan as p
from dsql.planner.expressions import slots_of_all
from dsql.sql.bound import AggregateCall

_CALLS_MAX = 64  # in one function


def produce_aggregate(
    generator: Generator, node: p.AggregateNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write an aggregation."""
    if node.keys or len(node.sets) > 1 or len(node.calls) > _CALLS_MAX:
        _aggregate_groups(generator, node, env, required, consume)
    else:
        _aggregate_all(generator, node, env, required, consume)


def _inputs(node: p.AggregateNode, carried: Sequence[int]) -> set[int]:
    expressions = [*(item for _, item in node.keys), *(call for _, call in node.calls)]
    return slots_of_all(expressions) | set(carried)


def _carried(generator: Generator, node: p.AggregateNode, required: set[int]) -> list[int]:
    """Return the slots wanted above that are neither keys nor results: functionally dependent ones."""
    own = {slot.id for slot, _ in (*node.keys, *node.calls, *node.groupings)}
    return sorted((required & generator.made.slots(node.child)) - own)


def _aggregate_all(
    generator: Generator, node: p.AggregateNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write an aggregation into one row, with local variables for accumulators."""
    source = generator.source
    held = generator.hold()
    places = [source.fresh("acc") for _ in node.calls]
    calls = [Accumulation(generator, call, held, grouped=False) for _, call in node.calls]
    for place, call in zip(places, calls, strict=True):
        source.line(f"{place} = {call.initial('0')}")

    def step(inner: Env) -> None:
        for place, call in zip(places, calls, strict=True):
            call.step(place, inner, "")

    generator.produce(node.child, env, _inputs(node, ()), step)
    results = dict(env)
    for place, call, (slot, _) in zip(places, calls, node.calls, strict=True):
        call.step_rest(place, "_")
        call.gather(place)
        name = source.fresh("c")
        source.line(f"{name} = {call.result(place, env)}")
        results[slot.id] = Binding(name)
    for slot, _ in node.groupings:
        results[slot.id] = Binding("0", nullable=False)
    for slot_id in _carried(generator, node, required):
        results[slot_id] = Binding("None")
    with source.block("if True:"):
        consume(results)


class _Groups:
    """Writes the groups of one aggregation.

    A group's list: accumulators, keys, carried slots and, with several sets, the number of its set.
    """

    def __init__(
        self,
        generator: Generator,
        node: p.AggregateNode,
        carried: Sequence[int],
        slots: Sequence[int],
    ) -> None:
        """`slots`: those of a row's fields, as they are kept in temporary space."""
        source = generator.source
        self._generator = generator
        self._node = node
        known = generator.made.types(node.child)
        self._types = [known.get(slot, 0) for slot in slots]
        self.carried = carried
        self.nullable: dict[int, bool] = {}
        self.several = len(node.sets) > 1 or not node.keys
        self._table, self._spill = source.fresh("groups"), source.fresh("spill")
        source.line(
            f"{self._table} = {{}}; {self._spill} = GroupSpill({generator.runtime('memory')})"
        )
        self._lists: list[str] = []
        self._given = ""
        counters = ""
        if len(node.calls) > _CALLS_MAX:
            counters = source.fresh("counters")
            source.line(f"{counters} = [{SAMPLE_EVERY}] * {len(node.calls)}")
        self.calls = [
            Accumulation(
                *(generator, call, self._account(number, call)),
                grouped=True,
                counter=counters and f"{counters}[{number}]",
            )
            for number, (_, call) in enumerate(node.calls)
        ]
        self._empty = list(self._begin_empty()) if self.several else []

    def _account(self, place: int, call: AggregateCall) -> str:
        """Write the making of the account of a call's accumulators, and return its name.

        Where the input is kept, or goes to temporary space, that is of the group that is being given.
        """
        source = self._generator.source
        if keeps_input(call):
            self._given = self._given or self._generator.hold()
            return self._given
        if not call.aggregate.gathers:
            return self._spill
        name, memory = source.fresh("lists"), self._generator.runtime("memory")
        set_place = self.set_place if self.several else None
        source.line(f"{name} = GroupLists({memory}, {self._table}, {place}, {set_place})")
        self._lists.append(name)
        return name

    @property
    def set_place(self) -> int:
        """Where the number of the set stands."""
        return len(self._node.calls) + len(self._node.keys) + len(self.carried)

    def _begin_empty(self) -> Iterator[tuple[str, str]]:
        """Write the group of each empty set, there without any row; yield the names of key and group."""
        source, nothing = self._generator.source, ["None"] * len(self._node.keys)
        for number, members in enumerate(self._node.sets):
            if not members:
                values = [call.initial(self._number(str(number))) for call in self.calls]
                values += [*nothing, *(["None"] * len(self.carried)), str(number)]
                key, group = source.fresh("key"), source.fresh("group")
                source.line(f"{key} = {tuple_code([str(number), *nothing])}")
                source.line(f"{group} = {self._table}[{key}] = [{', '.join(values)}]")
                yield key, group

    def _number(self, of_set: str) -> str:
        """Return code for the number of the next group; they ascend as groups are given."""
        return f"({of_set} << 40) + len({self._table})" if self.several else f"len({self._table})"

    def key_codes(self, env: Env) -> list[Code]:
        """Return code of the values that are grouped by."""
        nodes = self._node.keys
        codes = [self._generator.expressions.atom(item, env) for _, item in nodes]
        for (slot, _), code in zip(nodes, codes, strict=True):
            nullable = self.several or code.nullable or self.nullable.get(slot.id, False)
            self.nullable[slot.id] = nullable
        return codes

    @contextmanager
    def keys(self, codes: Sequence[Code]) -> Iterator[str]:
        """Write the key of a row's group around what is written inside, and yield its name.

        With several sets that is a loop over those that are not empty. A key is the number of the set and
        all values, NULL where the set is without them.
        """
        generator, source = self._generator, self._generator.source
        key, nodes = source.fresh("key"), [item for _, item in self._node.keys]
        if not self.several:
            source.line(f"{key} = {distinct_key(generator, nodes, codes)}")
            yield key
            return
        names = [source.fresh("k") for _ in codes]
        for name, part in zip(names, key_parts(generator, nodes, codes), strict=True):
            source.line(f"{name} = {part}")
        numbers = range(len(self._node.sets))
        getters = [
            itemgetter(
                number, *(len(numbers) + n if n in members else -1 for n in range(len(names)))
            )
            for number, members in enumerate(self._node.sets)
            if members
        ]
        parts, get = source.fresh("parts"), source.fresh("get")
        known = source.constant(tuple(numbers), "numbers")
        source.line(f"{parts} = (*{known}, {', '.join(names)}, None)")
        with source.block(f"for {get} in {source.constant(getters, 'getters')}:"):
            source.line(f"{key} = {get}({parts})")
            yield key

    def values(self, key: str, codes: Sequence[Code]) -> list[str]:
        """Return code of the values that a group of this key is given."""
        if not self.several:
            return [code.text for code in codes]
        places = enumerate(codes, 1)
        return [f"(None if {key}[{n}] is None else {code.text})" for n, code in places]

    def step(self, key: str, values: Sequence[str], fields: Sequence[str], env: Env) -> None:
        """Write one row's way into its group, or into temporary space as the key and `fields`."""
        generator, source = self._generator, self._generator.source
        table, spill = self._table, self._spill
        group, nodes = source.fresh("group"), [item for _, item in self._node.keys]
        source.line(f"{group} = {table}.get({key})")
        with source.block(f"if {group} is None:"):
            with source.block(f"if {spill}.full:"):
                source.line(f"{spill}.defer({key}, {tuple_code([key, *fields])})")
                generator.note_large(f"{spill}.deferred", fields, self._types)
            with source.block("else:"):
                of_set = f"{key}[0]"
                items = [call.initial(self._number(of_set)) for call in self.calls]
                items += [*values, *(env[slot].code for slot in self.carried)]
                items += [of_set] * self.several
                source.line(f"{table}[{key}] = {group} = [{', '.join(items)}]")
                generator.note_large(spill, values, [item.type_oid for item in nodes])
                with source.block(f"if not len({table}) & 63:"):
                    source.line(f"{spill}.sample_group({key}, {group})")
        with source.block(f"if {group} is not None:") if self.calls else nullcontext():
            self._step_calls(group, env, key)

    def step_empty(self, env: Env) -> None:
        """Write one row's way into the groups of empty sets, which need not be looked for."""
        for key, group in self._empty:
            self._step_calls(group, env, key)

    def _step_calls(self, group: str, env: Env, key: str) -> None:
        self._in_pieces(
            [*enumerate(self.calls)],
            f"{group}, {key}",
            lambda number, call: call.step(f"{group}[{number}]", env, key),
        )

    def _in_pieces(
        self,
        calls: Sequence[tuple[int, Accumulation]],
        parameters: str,
        write: Callable[[int, Accumulation], None],
    ) -> None:
        """Write something for each call, in functions of these parameters where there are many."""
        source = self._generator.source
        for start in range(0, len(calls), _CALLS_MAX):
            name = source.fresh("calls")
            piece = len(calls) > _CALLS_MAX
            with source.nested(name, parameters) if piece else nullcontext():
                for number, call in calls[start : start + _CALLS_MAX]:
                    write(number, call)
            if piece:
                source.line(source.call(name, parameters))

    def give(self) -> None:
        """Write the yielding of the finished groups."""
        source, table = self._generator.source, self._table
        key = source.fresh("key")
        self._in_pieces(
            [*enumerate(self.calls)],
            "",
            lambda number, call: call.step_rest(f"{table}[{key}][{number}]", key),
        )
        groups = f"{table}.values()"
        if self.several:
            groups = f"sorted({groups}, key=itemgetter({self.set_place}))"
        if self._lists:
            groups = f"GroupLists.complete({groups}, {tuple_code(self._lists)})"
        gathering = [(n, call) for n, call in enumerate(self.calls) if call.gathers]
        if gathering:
            self._gather(groups, gathering)
        else:
            source.line(f"yield from {groups}")
        for lists in self._lists:
            source.line(f"{lists}.clear()")

    def _gather(self, groups: str, gathering: Sequence[tuple[int, Accumulation]]) -> None:
        """Write the yielding of groups whose input was kept, each with what is made of it."""
        source, group = self._generator.source, self._generator.source.fresh("group")
        with source.block(f"for {group} in {groups}:"):
            self._in_pieces(
                gathering, group, lambda number, call: call.gather(f"{group}[{number}]")
            )
            source.line(f"yield {group}")
            for number, _ in gathering:
                source.line(f"{group}[{number}] = None")
            source.line(f"{self._given}.clear()")
        for _, call in gathering:
            call.forget()

    def rest(self) -> tuple[str, str]:
        """Return the header of the loop over groups that found no room, and code of their rows."""
        return f"while {self._spill}.next({self._table}):", f"{self._spill}.rows()"


def _aggregate_groups(
    generator: Generator, node: p.AggregateNode, env: Env, required: set[int], consume: Consume
) -> None:
    """Write an aggregation into groups.

    When the groups have taken their share of memory, rows of further ones go to temporary space, in
    partitions by key. Each partition is aggregated in turn once the groups before it have been given.
    """
    source = generator.source
    carried = _carried(generator, node, required)
    inputs = _inputs(node, carried)
    name = source.fresh("groups")
    with source.nested(name):
        slots = sorted(inputs & generator.made.slots(node.child))
        groups = _Groups(generator, node, carried, slots)
        nullable = [False] * len(slots)

        def step(inner: Env) -> None:
            for position, slot in enumerate(slots):
                nullable[position] = nullable[position] or inner[slot].nullable
            fields = [inner[slot].code for slot in slots]
            codes = groups.key_codes(inner)
            if any(node.sets):
                with groups.keys(codes) as key:
                    groups.step(key, groups.values(key, codes), fields, inner)
            groups.step_empty(inner)

        generator.produce(node.child, env, inputs, step)
        groups.give()
        header, rows = groups.rest()
        with source.block(header):
            inner, names = generator.bind(env, slots, nullable)
            key = source.fresh("key")
            with source.block(f"for {unpack_code([key, *names])} in {rows}:"):
                values = groups.values(key, groups.key_codes(inner))
                groups.step(key, values, names, inner)
            groups.give()
    _give_groups(generator, node, groups, source.call(name), env, consume)


def _give_groups(
    generator: Generator,
    node: p.AggregateNode,
    groups: _Groups,
    rows: str,
    env: Env,
    consume: Consume,
) -> None:
    """Write the loop over finished groups, an iterable of their lists."""
    source = generator.source
    group = source.fresh("group")
    with source.block(f"for {group} in {rows}:"):
        results = dict(env)
        place = len(groups.calls)
        for slot_id in [*(slot.id for slot, _ in node.keys), *groups.carried]:
            name = source.fresh("c")
            source.line(f"{name} = {group}[{place}]")
            results[slot_id] = Binding(name, groups.nullable.get(slot_id, True))
            place += 1
        for number, (call, (slot, _)) in enumerate(zip(groups.calls, node.calls, strict=True)):
            name = source.fresh("c")
            source.line(f"{name} = {call.result(f'{group}[{number}]', results)}")
            results[slot.id] = Binding(name)
        for slot, keys in node.groupings:
            masks = [_mask(keys, members) for members in node.sets]
            code = str(masks[0])
            if groups.several:
                code = f"{source.constant(masks, 'masks')}[{group}[{groups.set_place}]]"
            results[slot.id] = Binding(code, nullable=False)
        consume(results)


def _mask(keys: Sequence[int], members: Sequence[int]) -> int:
    """Return GROUPING(): a bit for each key, set if it is not one of a set's members."""
    mask = 0
    for key in keys:
        mask = mask * 2 + (key not in members)
    return mask
