"""The newest frames of a log in memory, by the sequence each begins with, within a number of bytes."""

from __future__ import annotations

from collections import OrderedDict

from journal.segment import Frame


class FrameWindow:
    """Frames without gaps between them; the oldest go when there are more than `bytes_max`."""

    def __init__(self, bytes_max: int) -> None:
        # Ordered: taking the first key off a dict walks over the places of all that went before it.
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._bytes = 0
        self._bytes_max = bytes_max

    def add(self, frame: Frame, needed_after: int) -> None:
        """Add a frame at the end. Frames with a record behind `needed_after` stay in any case."""
        frames = self._frames
        frames[frame.first] = frame
        self._bytes += len(frame.data)
        while self._bytes > self._bytes_max:
            oldest = frames[next(iter(frames))]
            if oldest.last > needed_after:
                break
            del frames[oldest.first]
            self._bytes -= len(oldest.data)

    def cut(self, last: int) -> None:
        """Forget every frame behind `last`."""
        while self._frames:
            first, frame = self._frames.popitem()
            if first <= last:
                self._frames[first] = frame
                return
            self._bytes -= len(frame.data)

    def since(self, sequence: int, last: int, bytes_max: int) -> list[Frame]:
        """Return the frames from the one that begins with `sequence` up to `last`, about `bytes_max`.

        Empty if no frame of the window begins there.
        """
        found: list[Frame] = []
        size = 0
        frame = self._frames.get(sequence)
        while frame is not None and frame.last <= last and size < bytes_max:
            found.append(frame)
            size += len(frame.data)
            frame = self._frames.get(frame.last + 1)
        return found
