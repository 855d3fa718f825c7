"""What a query processor is told of its cluster's sessions, whoever of the others answers or dies."""

from __future__ import annotations

from placement.surveys import Surveys


class FakeWorker:
    def __init__(self) -> None:
        self.asked: list[int] = []
        self.heard: list[tuple[int, tuple[bytes, ...], bool]] = []

    def report(self, inquiry: int) -> None:
        self.asked.append(inquiry)

    def survey(self, inquiry: int, activities: tuple[bytes, ...], *, last: bool) -> None:
        self.heard.append((inquiry, activities, last))


def begun(*parked: bytes) -> tuple[Surveys, FakeWorker, FakeWorker]:
    surveys, asker, other = Surveys(), FakeWorker(), FakeWorker()
    surveys.begin(asker, 5, [asker, other], parked)  # type: ignore[arg-type, list-item]
    assert asker.asked == other.asked == [1]
    return surveys, asker, other


def test_all_parts_are_passed_on_and_the_last_is_the_end() -> None:
    surveys, asker, other = begun(b"parked")
    surveys.told(other, 1, (b"a",), False)  # type: ignore[arg-type]
    surveys.told(asker, 1, (b"b",), True)  # type: ignore[arg-type]
    surveys.told(other, 1, (b"c",), True)  # type: ignore[arg-type]
    assert [part for _, part, _ in asker.heard] == [(b"parked",), (b"a",), (b"b",), (b"c",)]
    assert [last for _, _, last in asker.heard] == [False, False, False, True]
    assert {inquiry for inquiry, _, _ in asker.heard} == {5}


def test_the_death_of_a_process_ends_the_wait_for_its_answer() -> None:
    surveys, asker, other = begun()
    surveys.told(asker, 1, (b"a",), True)  # type: ignore[arg-type]
    surveys.lost(other)  # type: ignore[arg-type]
    assert asker.heard[-1] == (5, (), True)


def test_answers_to_a_process_that_died_go_nowhere() -> None:
    surveys, asker, other = begun()
    surveys.lost(asker)  # type: ignore[arg-type]
    surveys.told(other, 1, (b"c",), True)  # type: ignore[arg-type]
    assert not asker.heard


def test_many_that_are_parked_come_in_parts() -> None:
    _, asker, _ = begun(*[b"x"] * 150)
    assert [len(part) for _, part, _ in asker.heard] == [64, 64, 22]
