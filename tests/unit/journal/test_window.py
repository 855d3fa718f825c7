"""The newest frames in memory: what stays, what goes."""

from __future__ import annotations

from journal.messages import Record
from journal.segment import Frame, make_frame
from journal.window import FrameWindow

ENOUGH = 1 << 20


def frame(sequence: int) -> Frame:
    return make_frame([Record(sequence, 1, 100 * sequence, 0, b"x" * 100)])


def window_of(frames: int, bytes_max: int = ENOUGH, needed_after: int = ENOUGH) -> FrameWindow:
    window = FrameWindow(bytes_max)
    for sequence in range(1, frames + 1):
        window.add(frame(sequence), needed_after)
    return window


def firsts(window: FrameWindow, sequence: int, last: int = ENOUGH, size: int = ENOUGH) -> list[int]:
    return [found.first for found in window.since(sequence, last, size)]


def test_frames_are_found_from_one_up_to_another():
    assert firsts(window_of(5), 2, last=4) == [2, 3, 4]
    assert firsts(window_of(5), 6) == []


def test_found_frames_are_about_as_many_as_asked_for():
    assert firsts(window_of(5), 1, size=len(frame(1).data) + 1) == [1, 2]


def test_oldest_frames_go_when_there_is_no_room():
    window = window_of(5, bytes_max=2 * len(frame(5).data))
    assert (firsts(window, 3), firsts(window, 4)) == ([], [4, 5])


def test_frames_that_are_needed_stay_though_there_is_no_room():
    assert firsts(window_of(5, bytes_max=1, needed_after=2), 3) == [3, 4, 5]


def test_what_is_cut_off_is_replaced():
    window = window_of(5)
    window.cut(2)
    window.add(frame(3), 0)
    assert firsts(window, 1) == [1, 2, 3]
