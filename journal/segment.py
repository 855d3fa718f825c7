"""The format of a journal segment, and what a segment file still holds after a crash or damage.

A segment is a file: a header, then frames. A frame is what a leader appended at once, one or more
records with one checksum; it is made once, by the leader, and travels unchanged over the network
and to every replica's disk, never split and never merged. So a replica has a frame or it has not,
and two logs part at a boundary between frames.

    header   magic, format version, first sequence, CRC32C of the header
    frame    length of the body, CRC32C of all that follows, first sequence, count, epoch,
             timestamp of the last record, body: MessagePack of the records

A frame without records is a sync mark. A replica puts one before each write; its sequence is the last
one that was synced by then, its epoch is the log's own secret number, so that no client can put a mark
into a row, and its timestamp the first sequence that the log has to keep.

After a crash the end of the last segment may hold frames that never reached the disk as a whole: all of
them belong to the one write that was under way, so there is no mark behind them. Something bad with a mark
behind it is damage, and reading goes on at the mark. Zeros at the end are neither: they were written
ahead, for frames to come.
"""

from __future__ import annotations

import struct

import google_crc32c
import msgspec

from dsql.limits import JOURNAL_RECORD_BYTES_MAX
from journal.messages import Record

FORMAT_VERSION = 2
FRAME_BODY_BYTES_MAX = JOURNAL_RECORD_BYTES_MAX + 4 * 1024 * 1024

_MAGIC = b"DSQLJRNL"
_HEADER = struct.Struct("<8sIQ")
_CHECKSUM = struct.Struct("<I")
_PREFIX = struct.Struct("<II")  # body length, checksum
_FIELDS = struct.Struct("<QIQQ")  # first sequence, count, epoch, timestamp
_FRAME_HEADER_BYTES = _PREFIX.size + _FIELDS.size
HEADER_BYTES = _HEADER.size + _CHECKSUM.size
MARK_BYTES = _FRAME_HEADER_BYTES
_EMPTY_BODY = bytes(4)  # a mark begins with a body length of zero

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Record])


class CorruptionError(Exception):
    """A journal file holds something else than what was written and synced."""


class Frame:
    """One frame: its bytes as they are stored and sent, and its records, decoded when wanted."""

    __slots__ = ("_records", "count", "data", "epoch", "first", "last", "timestamp")

    def __init__(
        self,
        first: int,
        count: int,
        epoch: int,
        timestamp: int,
        data: bytes,
        records: list[Record] | None = None,
    ) -> None:
        self.first = first
        self.count = count
        self.last = first + count - 1
        self.epoch = epoch
        self.timestamp = timestamp
        self.data = data
        self._records = records

    @property
    def records(self) -> list[Record]:
        """The frame's records. Raises CorruptionError if the body is none of ours."""
        if self._records is None:
            try:
                self._records = _decoder.decode(memoryview(self.data)[_FRAME_HEADER_BYTES:])
            except msgspec.DecodeError as error:
                raise CorruptionError(f"frame {self.first} does not decode: {error}") from error
        return self._records


def make_frame(records: list[Record]) -> Frame:
    """Return the frame of consecutive records of one epoch."""
    first, last = records[0], records[-1]
    data = _seal(
        first.sequence, len(records), first.epoch, last.timestamp, _encoder.encode(records)
    )
    return Frame(first.sequence, len(records), first.epoch, last.timestamp, data, records)


def sync_mark(synced: int, kept_from: int, secret: int) -> bytes:
    """Return the mark that records `kept_from` to `synced` of a log were on disk when it was made."""
    fields = _FIELDS.pack(synced, 0, secret, kept_from)
    return _PREFIX.pack(0, google_crc32c.value(fields)) + fields


def parse_mark(data: bytes, offset: int, secret: int) -> Frame | None:
    """Return the mark at `offset`, None if there is none of this log's.

    Its `first` is the last sequence that was synced, its `timestamp` the first that is kept.
    """
    parsed = parse_frame(data, offset)
    return parsed if parsed is not None and not parsed.count and parsed.epoch == secret else None


def _seal(first: int, count: int, epoch: int, timestamp: int, body: bytes) -> bytes:
    fields = _FIELDS.pack(first, count, epoch, timestamp)
    checksum = google_crc32c.extend(google_crc32c.value(fields), body)
    return _PREFIX.pack(len(body), checksum) + fields + body


def parse_frame(data: bytes, offset: int) -> Frame | None:
    """Return the frame at `offset`, None if there is no whole and sound one."""
    if len(data) - offset < _FRAME_HEADER_BYTES:
        return None
    length, checksum = _PREFIX.unpack_from(data, offset)
    end = offset + _FRAME_HEADER_BYTES + length
    if length > FRAME_BODY_BYTES_MAX or end > len(data):
        return None
    if google_crc32c.value(data[offset + _PREFIX.size : end]) != checksum:
        return None
    first, count, epoch, timestamp = _FIELDS.unpack_from(data, offset + _PREFIX.size)
    return Frame(first, count, epoch, timestamp, data[offset:end])


def parse_frames(data: bytes, offset: int = 0) -> list[Frame]:
    """Return all frames from `offset` to the end. Raises CorruptionError at a bad one."""
    frames = []
    while offset < len(data):
        parsed = parse_frame(data, offset)
        if parsed is None:
            raise CorruptionError(f"bad journal frame at offset {offset}")
        frames.append(parsed)
        offset += len(parsed.data)
    return frames


def segment_header(first_sequence: int) -> bytes:
    """Return the header of a segment whose first record will be `first_sequence`."""
    header = _HEADER.pack(_MAGIC, FORMAT_VERSION, first_sequence)
    return header + _CHECKSUM.pack(google_crc32c.value(header))


class Recovered:
    """What a segment file holds.

    `frames`: (offset, frame) of each sound frame with records, in order; where records are missing
    between two of them, that is damage. `end`: behind the last sound frame or mark. `damaged`: something
    behind the header is not as it was written, and no crash explains it. `torn`: a write did not come to
    its end.
    """

    def __init__(self) -> None:
        self.frames: list[tuple[int, Frame]] = []
        self.end = HEADER_BYTES
        self.damaged = False
        self.torn = False


def recover_segment(data: bytes, first: int, secret: int) -> Recovered:
    """Read a whole segment file, whose first record is `first`, of the log with this secret."""
    recovered = Recovered()
    expected = first
    offset = HEADER_BYTES
    written = 0
    while offset < len(data):
        parsed = parse_frame(data, offset)
        if parsed is not None and (not parsed.count or parsed.first == expected):
            if parsed.count:
                recovered.frames.append((offset, parsed))
                expected = parsed.last + 1
            offset += len(parsed.data)
            recovered.end = offset
            continue
        written = written or len(data.rstrip(b"\0"))
        found = _next_mark(data, offset, written, expected, secret)
        if found is None:
            recovered.torn = written > offset
            break
        offset, mark = found
        expected = mark.first + 1
        recovered.damaged = True
    return recovered


def _next_mark(
    data: bytes, offset: int, written: int, expected: int, secret: int
) -> tuple[int, Frame] | None:
    """Return where the next mark behind something bad at `offset` is, and the mark.

    It stands before records from `expected` on: a mark of earlier ones has strayed there.
    """
    end = written + MARK_BYTES  # a mark may end with zeros of its own
    position = data.find(_EMPTY_BODY, offset + 1, end)
    while position != -1:
        mark = parse_mark(data, position, secret)
        if mark is not None and mark.first >= expected - 1:
            return position, mark
        position = data.find(_EMPTY_BODY, position + 1, end)
    return None
