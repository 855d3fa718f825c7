"""A log crashed after every operation on its disk, in every way, and damaged at every byte of every file.

After a crash, which damages nothing, all that was acknowledged is there, nothing is believed that was not
written, and the log counts. After damage the log says so: it is lost, or knows of the gap, or nothing is
missing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from journal.extent import LogExtent
from journal.log import Log
from journal.messages import Record
from journal.opening import open_log
from journal.replica import Promise
from journal.segment import CorruptionError, Frame, make_frame

from .crashing_disk import Content, RecordingFiles, after_crash, after_death

DIRECTORY = Path("/zone/journal")
SEGMENT_BYTES = 420


def frame(first: int, epoch: int, count: int = 1, size: int = 30) -> Frame:
    span = range(first, first + count)
    return make_frame([Record(n, epoch, 1_000 * n + epoch, 0, b"x" * size) for n in span])


class History:
    """A log in use, and after each of its operations what has to be there, and what may.

    `moments`: (operations so far, frames acknowledged, frames that may be there, promises that may).
    """

    def __init__(self, forgets: frozenset[str] = frozenset()) -> None:
        self.files = RecordingFiles(forgets=forgets)
        self.moments: list[tuple[int, list[Frame], list[Frame], list[Promise], int]] = []
        self.frames: list[Frame] = []
        self.promise = Promise(0, b"", whole=True)
        self.first = 1
        self.log: Log | None = None
        self._note([], [], [self.promise])
        self.log = Log(DIRECTORY, segment_bytes=SEGMENT_BYTES, files=self.files)
        self._stand()

    def write(self, epoch: int, *counts: int, size: int = 30) -> None:
        frames = []
        first = self.frames[-1].last + 1 if self.frames else self.first
        for count in counts:
            frames.append(frame(first, epoch, count, size))
            first += count
        self._note(self.frames, self.frames + frames, [self.promise])
        self.log.write(frames)
        self.frames = self.frames + frames
        self._stand()

    def save_promise(self, epoch: int) -> None:
        promise = Promise(epoch, b"c" * 16)
        self._note(self.frames, self.frames, [self.promise, promise])
        self.log.save_promise(promise)
        self.promise = promise
        self._stand()

    def cut(self, last: int) -> None:
        kept = [one for one in self.frames if one.last <= last]
        self._note(kept, self.frames, [self.promise])
        self.log.cut(last)
        self.frames = kept
        self._stand()

    def trim(self, first: int) -> None:
        self.log.trim(first)
        self.first = self.log.first_sequence
        self._stand()

    def do(self, act: Callable[[Log], None]) -> None:
        act(self.log)
        self._stand()

    def _stand(self) -> None:
        self._note(self.frames, self.frames, [self.promise])

    def _note(self, sure: list[Frame], possible: list[Frame], promises: list[Promise]) -> None:
        self.moments.append((len(self.files.operations), sure, possible, promises, self.first))

    def crashes(self) -> list[tuple[int, list[Frame], list[Frame], list[Promise], int]]:
        """Return, for each number of operations, what must and may be there."""
        found = []
        for moment, following in zip(self.moments, self.moments[1:], strict=False):
            _, sure, possible, promises, _ = moment
            first = following[4]
            found += [(n, sure, possible, promises, first) for n in range(moment[0], following[0])]
        return [*found, self.moments[-1]]


def lively(forgets: frozenset[str] = frozenset()) -> History:
    """Writes, a roll, cuts within and across segments, a new epoch, trims and all the rest."""
    history = History(forgets)
    history.save_promise(1)
    history.write(1, 1)
    history.write(1, 2, 1)
    history.do(Log.settle)
    history.write(1, 1, size=150)
    history.write(1, 1)
    history.save_promise(2)
    history.cut(4)
    history.write(2, 1)
    history.write(2, 2, size=100)
    history.write(2, 1, size=150)
    history.do(Log.seal)
    history.write(2, 1)
    history.trim(6)
    history.do(lambda log: log.check_state())
    history.save_promise(3)
    history.cut(7)
    history.write(3, 2)
    history.write(3, 1, size=200)
    return history


def frames_of(log: Log) -> list[Frame]:
    found: list[Frame] = []
    sequence = log.first_sequence
    while sequence <= log.last_sequence:
        found += log.read(sequence, 1)
        sequence = found[-1].last + 1
    return found


def same(one: list[Frame], other: list[Frame]) -> bool:
    return [frame.data for frame in one] == [frame.data for frame in other]


class ViolationError(Exception):
    """What a log must not do."""


def demand(truth: bool, claim: str) -> None:
    if not truth:
        raise ViolationError(claim)


def recover(content: Content, *, expected: bool) -> tuple[Log, RecordingFiles]:
    files = RecordingFiles(content)
    return open_log(DIRECTORY, expected=expected, files=files), files


def examine(
    content: Content, sure: list[Frame], possible: list[Frame], promises: list[Promise], first: int
) -> None:
    """Open what a crash has left, and go on with it."""
    log, files = recover(content, expected=bool(promises[0].epoch))
    demand(log.promise in promises, "a promise is forgotten")
    demand(not log.damaged, "a crash is taken for damage")
    held = frames_of(log)
    demand(log.first_sequence <= first, "what is to be kept is gone")
    begin = held[0].first if held else 1
    demand(
        any(
            same(held, [f for f in possible[:n] if f.first >= begin])
            for n in range(len(possible) + 1)
        ),
        "something else is believed",
    )
    demand(
        not sure or (bool(held) and held[-1].last >= sure[-1].last), "what was acknowledged is gone"
    )
    extent = log.extent
    if held:
        demand(
            (extent.last_timestamp, extent.epochs[-1][0]) == (held[-1].timestamp, held[-1].epoch),
            "the end is not known",
        )
    log.write([frame(extent.last_sequence + 1, 9)])
    log.save_promise(Promise(9, b"d" * 16))
    again, _ = recover(files.content(), expected=True)
    demand(again.promise == Promise(9, b"d" * 16), "a recovered log does not go on")
    demand(again.last_sequence == extent.last_sequence + 1, "a recovered log does not go on")


def crash_everywhere(history: History) -> int:
    chance = random.Random(7)
    states = 0
    operations = history.files.operations
    for count, *expected in history.crashes():
        for content in [after_death(operations[:count]), *after_crash(operations[:count], chance)]:
            examine(content, *expected)
            states += 1
    return states


def test_every_crash_leaves_what_was_acknowledged_and_nothing_else():
    history = lively()
    history.trim(100)
    history.write(3, 1)
    assert crash_everywhere(history) > 1_000


# What each line of the log that makes something durable is for: without it, some crash loses something.
@pytest.mark.parametrize("forgotten", ["writes", "promises", "lengths", "names"])
def test_a_sync_that_is_left_out_loses_something_in_some_crash(forgotten):
    with pytest.raises(ViolationError):
        crash_everywhere(lively(frozenset({forgotten})))


# Damage


def believed(content: Content, history: History) -> str:
    """Return what is wrong with how a damaged log is taken, empty if nothing is."""
    log, _ = recover(content, expected=True)
    if not log.promise.whole:
        return ""
    if log.promise != history.promise:
        return f"promise {log.promise}"
    if log.last_sequence != history.frames[-1].last:
        return f"ends with {log.last_sequence}"
    taken, true = LogExtent(log.extent), LogExtent(history.log.extent)
    for sequence in range(log.first_sequence, log.last_sequence + 1):
        if taken.epoch_at(sequence) != true.epoch_at(sequence):
            return f"takes {sequence} for one of another epoch"
    by_first = {frame.first: frame.data for frame in history.frames}
    missing = 0
    sequence = log.first_sequence
    while sequence <= log.last_sequence:
        try:
            read = log.read(sequence, 1)
        except CorruptionError:
            missing += 1
            sequence += 1
            continue
        if by_first.get(read[0].first) != read[0].data:
            return f"gives something else for {sequence}"
        sequence = read[-1].last + 1
    return f"does not tell of {missing} records" if missing and not log.damaged else ""


def damaged(content: Content, path: Path, data: bytes | None) -> Content:
    other = {**content}
    if data is None:
        del other[path]
    else:
        other[path] = data
    return other


@pytest.fixture(params=["closed", "died"])
def used(request) -> tuple[History, Content]:
    """A log of several segments, and its files."""
    history = lively()
    history.write(3, 1, size=100)
    history.write(3, 1)
    if request.param == "closed":
        history.log.close()
    return history, history.files.content()


def written(data: bytes) -> Iterator[int]:
    """Yield the positions of a file but those in the midst of nothing but zeros."""
    return (n for n in range(len(data)) if any(data[max(0, n - 4) : n + 5]))


def test_every_damaged_byte_is_noticed_or_harmless(used):
    history, content = used
    for path, data in content.items():
        for position in written(data):
            mask = 0xFF if position % 2 else 1 << position // 2 % 8
            flipped = data[:position] + bytes([data[position] ^ mask]) + data[position + 1 :]
            wrong = believed(damaged(content, path, flipped), history)
            assert not wrong, f"{path.name} at {position}: {wrong}"


def test_every_file_that_is_gone_or_cut_short_is_noticed_or_harmless(used):
    history, content = used
    for path, data in content.items():
        assert not believed(damaged(content, path, None), history), path
        for length in [0, *(n for n in written(data) if n % 7 == 0)]:
            wrong = believed(damaged(content, path, data[:length]), history)
            assert not wrong, f"{path.name} cut to {length}: {wrong}"


def test_every_piece_of_zeros_or_of_elsewhere_is_noticed_or_harmless(used):
    history, content = used
    sources = [bytes(4096), *content.values()]
    for path, data in content.items():
        for start in {n // 64 * 64 for n in written(data)}:
            for source in sources:
                piece = source[start : start + 64].ljust(64, b"\0")[: len(data) - start]
                wrong = believed(
                    damaged(content, path, data[:start] + piece + data[start + 64 :]), history
                )
                assert not wrong, f"{path.name} at {start}: {wrong}"


def test_segment_that_is_gone_from_between_others_after_a_crash_of_the_machine_is_noticed():
    history = lively()
    stored = next(after_crash(history.files.operations, random.Random(1)))
    *older, _ = sorted(path for path in stored if path.suffix == ".segment")
    for path in older:
        assert not believed(damaged(stored, path, None), history), path.name


def test_damage_in_two_segments_is_noticed_or_harmless(used):
    history, content = used
    chance = random.Random(11)
    segments = [path for path in content if path.suffix == ".segment"]
    assert len(segments) >= 4
    for _ in range(200):
        other = {**content}
        for path in chance.sample(segments, 2):
            data = other[path]
            start = chance.randrange(len(data))
            rest = data[start + chance.choice((1, 40, 400)) :]
            other[path] = (data[:start] + rest).ljust(len(data), b"\0")
        assert not believed(other, history)
