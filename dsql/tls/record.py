"""The TLS 1.3 record layer, taken up in the middle of a connection (RFC 8446, section 5).

After the handshake every record is an encrypted one: header, then AEAD(content, content type, zero
padding). The nonce is the record's sequence number xor the IV, the header is the associated data.
What can come in is application data, alerts, and KeyUpdate; the peer's KeyUpdate moves its key on and,
if it asks for it, ours. Everything else ends the connection with the alert that the RFC names.
"""

from __future__ import annotations

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from dsql.session.handed import TlsState
from dsql.tls.schedule import SUITES, CipherSuite, next_traffic_secret, traffic_key

FRAGMENT_BYTES_MAX = 16_384
_CIPHERTEXT_BYTES_MAX = FRAGMENT_BYTES_MAX + 256
_TAG_BYTES = 16
_HEADER_BYTES = 5
_OVERHEAD_BYTES = _TAG_BYTES + 1  # the tag and the content type
_AROUND_BYTES = _HEADER_BYTES + _OVERHEAD_BYTES
_USUAL_BYTES_MAX = FRAGMENT_BYTES_MAX + _AROUND_BYTES

ALERT, HANDSHAKE, APPLICATION_DATA = 21, 22, 23
CLOSE_NOTIFY = 0
UNEXPECTED_MESSAGE = 10
BAD_RECORD_MAC = 20
RECORD_OVERFLOW = 22
ILLEGAL_PARAMETER = 47
DECODE_ERROR = 50
_WARNING, _FATAL = 1, 2

_KEY_UPDATE = 24
_KEY_UPDATE_BYTES = 5
IDLE_RECORDS_MAX = 32  # records in a row without data; OpenSSL's limits for both kinds are 32
RECORDS_PER_KEY_MAX = 1 << 24  # AES-GCM's safety margin ends at 2**24.5 full records (section 5.5)

_read_header = struct.Struct("!BHH").unpack_from
_HEADERS = [
    b"\x17\x03\x03" + (size + _OVERHEAD_BYTES).to_bytes(2, "big")
    for size in range(FRAGMENT_BYTES_MAX + 1)
]


class TlsError(ConnectionError):
    """The peer broke the protocol, or said that we did. The connection is of no more use."""


class _Direction:
    """The keys of one direction and the sequence number of its next record."""

    def __init__(self, suite: CipherSuite, secret: bytes, sequence: int) -> None:
        self._suite = suite
        self.secret = secret
        self.sequence = sequence
        self._set_key()

    def _set_key(self) -> None:
        key, iv = traffic_key(self.secret, self._suite)
        self.iv = int.from_bytes(iv, "big")
        self.aead = AESGCM(key) if self._suite.aead == "AES-GCM" else ChaCha20Poly1305(key)

    def update(self) -> None:
        """Move on to the next traffic secret."""
        self.secret = next_traffic_secret(self.secret, self._suite)
        self.sequence = 0
        self._set_key()


class RecordLayer:
    """Opens and seals records. `output` collects what has to be sent unasked (KeyUpdate, alerts).

    `closed` is set by the peer's close_notify; what it sends afterwards is ignored.
    """

    def __init__(self, state: TlsState) -> None:
        suite = SUITES[state.cipher]
        self._cipher = state.cipher
        self._read = _Direction(suite, state.read_secret, state.read_sequence)
        self._write = _Direction(suite, state.write_secret, state.write_sequence)
        self._unread = state.unread
        self._handshake = b""
        self._idle_records = 0
        self.closed = False
        self.output = bytearray()

    def state(self) -> TlsState:
        """Return all it takes for another process to go on from here."""
        return TlsState(
            self._cipher,
            self._read.secret,
            self._write.secret,
            self._read.sequence,
            self._write.sequence,
            self._unread,
        )

    @property
    def may_move(self) -> bool:
        """Whether `state` says all: there is no half of a message but of data, and the client goes on."""
        return not (self._handshake or self._idle_records or self.output or self.closed)

    @property
    def unread(self) -> bool:
        """True if there is ciphertext that was not opened yet."""
        return bool(self._unread)

    def open(self, data: bytes) -> bytes:
        """Take what came from the socket and return the application data in its whole records.

        Raises TlsError; the alert for the peer is then in `output`.
        """
        size = len(data)
        if not _AROUND_BYTES < size <= _USUAL_BYTES_MAX or self._unread or self._handshake:
            return self._open_all(data)
        header = data[:_HEADER_BYTES]
        if header != _HEADERS[size - _AROUND_BYTES] or self.closed:
            return self._open_all(data)
        # One whole record, as nearly always.
        plain = self._decrypt(header, data[_HEADER_BYTES:])
        if plain[-1] == APPLICATION_DATA:
            self._idle_records = 0
            return plain[:-1]
        parts: list[bytes] = []
        self._take_other(plain, parts)
        return b"".join(parts)

    def _open_all(self, data: bytes) -> bytes:
        """Do what `open` does, for any number of records and what is left of one."""
        if self._unread:
            data = self._unread + data
            self._unread = b""
        size = len(data)
        at = 0
        parts: list[bytes] = []
        while size - at >= _HEADER_BYTES and not self.closed:
            kind, _, length = _read_header(data, at)
            if kind != APPLICATION_DATA:
                raise self._fail(UNEXPECTED_MESSAGE, f"record of type {kind}")
            if length > _CIPHERTEXT_BYTES_MAX:
                raise self._fail(RECORD_OVERFLOW, f"record of {length} bytes")
            start = at + _HEADER_BYTES
            end = start + length
            if end > size:
                break
            plain = self._decrypt(data[at:start], data[start:end])
            at = end
            if plain[-1:] == b"\x17" and 1 < len(plain) <= FRAGMENT_BYTES_MAX + 1:
                if self._handshake:
                    raise self._fail(UNEXPECTED_MESSAGE, "data inside a handshake message")
                self._idle_records = 0
                parts.append(plain[:-1])
            else:
                self._take_other(plain, parts)
        if at < size:
            self._unread = data[at:] if at else data
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _decrypt(self, header: bytes, sealed: bytes) -> bytes:
        """Return content, content type and padding of the next record."""
        read = self._read
        nonce = (read.iv ^ read.sequence).to_bytes(12, "big")
        try:
            plain = read.aead.decrypt(nonce, sealed, header)
        except InvalidTag:
            raise self._fail(BAD_RECORD_MAC, "record does not decrypt") from None
        read.sequence += 1
        return plain

    def _take_other(self, plain: bytes, parts: list[bytes]) -> None:
        """Handle a record that is padded, empty, or not application data."""
        if len(plain) > FRAGMENT_BYTES_MAX + 1:
            raise self._fail(RECORD_OVERFLOW, "record content too long")
        plain = plain.rstrip(b"\0")
        if not plain:
            raise self._fail(UNEXPECTED_MESSAGE, "record without a content type")
        kind, content = plain[-1], plain[:-1]
        if kind == HANDSHAKE:
            self._count_idle()
            self._take_handshake(content)
            return
        if self._handshake:
            raise self._fail(UNEXPECTED_MESSAGE, "record inside a handshake message")
        if kind == ALERT:
            self._take_alert(content)
        elif kind != APPLICATION_DATA:
            raise self._fail(UNEXPECTED_MESSAGE, f"content of type {kind}")
        elif content:
            self._idle_records = 0
            parts.append(content)
        else:
            self._count_idle()

    def _count_idle(self) -> None:
        self._idle_records += 1
        if self._idle_records > IDLE_RECORDS_MAX:
            raise self._fail(UNEXPECTED_MESSAGE, "too many records without data")

    def _take_handshake(self, content: bytes) -> None:
        if not content:
            raise self._fail(UNEXPECTED_MESSAGE, "empty handshake record")
        self._handshake += content
        if self._handshake[0] != _KEY_UPDATE:
            raise self._fail(UNEXPECTED_MESSAGE, f"handshake message {self._handshake[0]}")
        if len(self._handshake) < _KEY_UPDATE_BYTES:
            return
        # A message may not go over a key change, so nothing can follow a KeyUpdate in its record.
        if len(self._handshake) > _KEY_UPDATE_BYTES:
            raise self._fail(UNEXPECTED_MESSAGE, "something behind a KeyUpdate")
        if self._handshake[1:4] != b"\0\0\x01":
            raise self._fail(DECODE_ERROR, "KeyUpdate of the wrong length")
        request = self._handshake[4]
        self._handshake = b""
        if request > 1:
            raise self._fail(ILLEGAL_PARAMETER, "KeyUpdate with an unknown request")
        self._read.update()
        if request:
            self._update_write_key()

    def _take_alert(self, content: bytes) -> None:
        if len(content) != 2:
            raise self._fail(DECODE_ERROR, "alert of the wrong length")
        if content[1] != CLOSE_NOTIFY:
            raise TlsError(f"the client sent TLS alert {content[1]}")
        self.closed = True

    def _fail(self, description: int, reason: str) -> TlsError:
        self.output += self._seal_record(bytes((_FATAL, description)), ALERT)
        return TlsError(reason)

    def _update_write_key(self) -> None:
        self.output += self._seal_record(b"\x18\0\0\x01\0", HANDSHAKE)
        self._write.update()

    def seal(self, data: bytes | bytearray) -> bytes:
        """Return application data as records, `output` before them."""
        write, size = self._write, len(data)
        sequence = write.sequence
        if self.output or sequence >= RECORDS_PER_KEY_MAX or size > FRAGMENT_BYTES_MAX:
            return self._seal_long(data)
        header = _HEADERS[size]
        nonce = (write.iv ^ sequence).to_bytes(12, "big")
        write.sequence = sequence + 1
        return header + write.aead.encrypt(nonce, data + b"\x17", header)

    def _seal_long(self, data: bytes | bytearray) -> bytes:
        view = memoryview(data)
        parts = []
        for start in range(0, len(data), FRAGMENT_BYTES_MAX):
            if self._write.sequence >= RECORDS_PER_KEY_MAX:
                self._update_write_key()
            if self.output:
                parts.append(self.take_output())
            fragment = bytes(view[start : start + FRAGMENT_BYTES_MAX])
            parts.append(self._seal_record(fragment, APPLICATION_DATA))
        return b"".join(parts)

    def _seal_record(self, content: bytes, kind: int) -> bytes:
        write = self._write
        header = _HEADERS[len(content)]
        nonce = (write.iv ^ write.sequence).to_bytes(12, "big")
        write.sequence += 1
        return header + write.aead.encrypt(nonce, content + bytes((kind,)), header)

    def seal_close(self) -> bytes:
        """Return the close_notify alert, `output` before it."""
        return self.take_output() + self._seal_record(bytes((_WARNING, CLOSE_NOTIFY)), ALERT)

    def take_output(self) -> bytes:
        """Return and forget what has to be sent unasked."""
        output = bytes(self.output)
        self.output.clear()
        return output
