"""The format of a journal segment, and what can be saved of one after a crash.

A segment is a file: a header, then frames. A frame is what a leader appended at once, one or more
records with one checksum; it is made once, by the leader, and travels unchanged over the network
and to every replica's disk, never split and never merged. So a replica has a frame or it has not,
and two logs part at a boundary between frames.

    header   magic, format version, first sequence, CRC32C of the header
    frame    length of the body, CRC32C of all that follows, first sequence, count, epoch,
             timestamp of the last record, body: MessagePack of the records

A frame without records is a sync mark. A replica puts one before each write, and its sequence is
the last one that was synced by then. After a crash the end of the last segment may hold frames that
never reached the disk as a whole. The first bad frame and all after it are cut off, unless a mark
behind it says that the frame had been synced: then the disk has lost what it had promised to keep,
and the replica must not vote with such a log. Zeros at the end are none of this: they were written
ahead, for frames to come.
"""

from __future__ import annotations

import struct

import google_crc32c
import msgspec

from dsql.limits import JOURNAL_RECORD_BYTES_MAX
from journal.messages import Record

FORMAT_VERSION = 1
FRAME_BODY_BYTES_MAX = JOURNAL_RECORD_BYTES_MAX + 4 * 1024 * 1024

_MAGIC = b"DSQLJRNL"
_HEADER = struct.Struct("<8sIQ")
_CHECKSUM = struct.Struct("<I")
_PREFIX = struct.Struct("<II")  # body length, checksum
_FIELDS = struct.Struct("<QIQQ")  # first sequence, count, epoch, timestamp
_FRAME_HEADER_BYTES = _PREFIX.size + _FIELDS.size
HEADER_BYTES = _HEADER.size + _CHECKSUM.size

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


def sync_mark(synced_sequence: int) -> bytes:
    """Return the mark that everything up to `synced_sequence` was on disk when it was written."""
    return _seal(synced_sequence, 0, 0, 0, b"")


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


def parse_header(data: bytes) -> int | None:
    """Return the first sequence of a segment, None if the header is torn.

    Raises CorruptionError for a format of another version.
    """
    if len(data) < HEADER_BYTES:
        return None
    header = data[: _HEADER.size]
    if _CHECKSUM.unpack_from(data, _HEADER.size)[0] != google_crc32c.value(header):
        return None
    magic, version, first_sequence = _HEADER.unpack(header)
    if magic != _MAGIC or version != FORMAT_VERSION:
        raise CorruptionError(f"journal format {version} is not the supported {FORMAT_VERSION}")
    sequence: int = first_sequence
    return sequence


class Recovered:
    """What a segment holds: (offset, frame) of each frame with records, and where the sound part ends."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, Frame]] = []
        self.end = HEADER_BYTES


def recover_segment(data: bytes, name: str, *, last: bool) -> Recovered:
    """Read a whole segment file. `last` says that a torn end is possible.

    Raises CorruptionError, with the segment's name and the offset, for damage that no crash explains.
    """
    recovered = Recovered()
    expected: int | None = parse_header(data)
    offset = HEADER_BYTES
    while offset < len(data):
        parsed = parse_frame(data, offset)
        if parsed is None:
            break
        if parsed.count:
            if parsed.first != expected:
                raise CorruptionError(
                    f"{name}: record {parsed.first} at offset {offset} where {expected} belongs"
                )
            recovered.frames.append((offset, parsed))
            expected = parsed.last + 1
        offset += len(parsed.data)
    recovered.end = offset
    written = len(data[offset:].rstrip(b"\0"))
    if written:
        # A mark may end with zeros of its own.
        synced = _last_mark(data[: offset + written + _FRAME_HEADER_BYTES], offset)
        if not last or (expected is not None and synced >= expected):
            raise CorruptionError(f"{name}: bad frame at offset {offset}, before synced ones")
    return recovered


def _last_mark(data: bytes, offset: int) -> int:
    """Return the highest synced sequence that a mark behind a bad frame at `offset` tells, else 0."""
    synced = 0
    empty_body = b"\0\0\0\0"  # a mark begins with a body length of zero
    position = data.find(empty_body, offset)
    while position != -1:
        parsed = parse_frame(data, position)
        if parsed is not None and parsed.count == 0:
            synced = max(synced, parsed.first)
            position = data.find(empty_body, position + len(parsed.data))
        else:
            position = data.find(empty_body, position + 1)
    return synced
