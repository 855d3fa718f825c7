"""TLS on memory: contexts per certificate, and a channel that can be given away.

OpenSSL does the handshake. Afterwards the channel knows everything that makes up the TLS 1.3 record layer,
so that another process can go on in its place: the two application traffic secrets (from the keylog
callback) and how many records were used under each. The counting is exact by construction:

    inbound    the channel cuts the byte stream into records itself and gives OpenSSL one after the other;
               whatever follows the one that completed the handshake (the client's Finished) counts
    outbound   what OpenSSL wrote before the client's Finished was drained before it, and belongs to the
               handshake's keys; the session tickets right after it are the first records that count

A record given to OpenSSL after the handshake has to yield data. If it does not, it was a KeyUpdate, after
which the known secret would be the wrong one, and the connection ends; no client rekeys before it logs in.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from OpenSSL import SSL

from dsql.session.handed import TlsState
from relay.handshake import ALPN_PROTOCOL

_log = logging.getLogger(__name__)

_HEADER_BYTES = 5
_APPLICATION_DATA = 0x17
_RECORD_TYPES = frozenset({0x14, 0x15, 0x16, _APPLICATION_DATA})
_RECORD_BYTES_MAX = 16_384 + 2_048  # TLSCiphertext of RFC 5246; TLS 1.3 allows less
_READ_BYTES = 16_384
HANDSHAKE_BYTES_MAX = 65_536
_UNEXPECTED_MESSAGE = b"\x15\x03\x01\0\x02\x02\x0a"  # a fatal alert, in the clear
# AES-128 first: the record layer runs in Python's crypto binding, and its key schedule is SHA-256.
_TLS13_CIPHERS = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
_TLS12_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_OPTIONS = (
    SSL.OP_NO_TICKET
    | SSL.OP_NO_COMPRESSION
    | SSL.OP_NO_RENEGOTIATION
    | SSL.OP_CIPHER_SERVER_PREFERENCE
)

ContextOfServerName = Callable[[str], SSL.Context | None]


class TlsError(Exception):
    """A TLS connection that cannot go on; an alert may be waiting in `TlsChannel.drain`."""


class _Observed:
    """What the callbacks of one connection's handshake have seen."""

    def __init__(self) -> None:
        self.server_name = ""
        self.read_secret = bytearray()
        self.write_secret = bytearray()


def make_context(certificate: Path, key: Path) -> SSL.Context:
    """Return a server context. Raises SSL.Error if the files do not belong together, OSError."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(_TLS12_CIPHERS)
    context.set_tls13_ciphersuites(_TLS13_CIPHERS)
    context.set_alpn_select_callback(_select_protocol)
    context.set_keylog_callback(_observe_secret)
    context.use_privatekey_file(str(key))
    context.use_certificate_chain_file(str(certificate))
    context.check_privatekey()
    return context


def make_entry_context(
    certificate: Path, key: Path, context_of_server_name: ContextOfServerName
) -> SSL.Context:
    """Return the context that every connection starts with, which changes to the named cluster's."""

    def choose(connection: SSL.Connection) -> None:
        name = connection.get_servername()
        if not name:
            return
        observed: _Observed = connection.get_app_data()
        try:
            observed.server_name = name.decode("ascii", "backslashreplace")
            context = context_of_server_name(observed.server_name)
        except Exception:  # OpenSSL's C code is the caller: it could only print the traceback
            _log.exception("no certificate for server name %r", name)
            return
        if context is not None:
            connection.set_context(context)

    context = make_context(certificate, key)
    context.set_tlsext_servername_callback(choose)
    return context


def _select_protocol(
    _: SSL.Connection, offered: list[bytes]
) -> bytes | SSL._NoOverlappingProtocols:
    return ALPN_PROTOCOL if ALPN_PROTOCOL in offered else SSL.NO_OVERLAPPING_PROTOCOLS


def _observe_secret(connection: SSL.Connection, line: bytes) -> None:
    """Keep the application traffic secrets of a TLS 1.3 handshake (NSS key log format)."""
    if line.startswith(b"CLIENT_TRAFFIC_SECRET_0 "):
        connection.get_app_data().read_secret = bytearray.fromhex(
            line[line.rindex(b" ") :].decode()
        )
    elif line.startswith(b"SERVER_TRAFFIC_SECRET_0 "):
        connection.get_app_data().write_secret = bytearray.fromhex(
            line[line.rindex(b" ") :].decode()
        )


class TlsChannel:
    """The server's side of one TLS connection: ciphertext in and out, plaintext in and out.

    `receive` takes ciphertext, `next_plaintext` gives plaintext record by record; `drain` gives what has
    to be sent after any of the calls.
    """

    def __init__(self, entry_context: SSL.Context) -> None:
        self._observed = _Observed()
        self._connection = SSL.Connection(entry_context, None)
        self._connection.set_app_data(self._observed)
        self._connection.set_accept_state()
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._handshake_bytes = 0
        self._read_sequence = 0
        self._write_sequence = 0
        self.established = False
        self.closed = False

    @property
    def server_name(self) -> str:
        """The SNI, "" if none came."""
        return self._observed.server_name

    @property
    def application_protocol(self) -> bytes:
        """What ALPN agreed on, b"" if nothing."""
        return self._connection.get_alpn_proto_negotiated()

    @property
    def transferable(self) -> bool:
        """True if another process can go on with the record layer: the protocol is TLS 1.3."""
        return bool(self._observed.write_secret)

    @property
    def description(self) -> str:
        """Protocol version and cipher, for people."""
        connection = self._connection
        return f"{connection.get_protocol_version_name()} {connection.get_cipher_name()}"

    @property
    def unread_bytes(self) -> int:
        """How much ciphertext has come and was not given to OpenSSL yet."""
        return len(self._inbox)

    def receive(self, ciphertext: bytes) -> None:
        """Take bytes of the socket. Raises TlsError for a handshake without end."""
        self._inbox += ciphertext
        if not self.established:
            self._handshake_bytes += len(ciphertext)
            if self._handshake_bytes > HANDSHAKE_BYTES_MAX:
                raise TlsError("the handshake is too long")

    def advance_handshake(self) -> bool:
        """Give OpenSSL what has come; return True once the handshake is complete. Raises TlsError."""
        while not self.established and (flight := self._take_handshake_records()):
            self._connection.bio_write(flight)
            try:
                self._connection.do_handshake()
                self.established = True
            except SSL.WantReadError:
                pass
            except SSL.Error as error:
                self._collect_alert()
                raise TlsError(_describe(error)) from None
            self._collect_output()
        return self.established

    def next_plaintext(self) -> bytes | None:
        """Return the data of the next record; None until one is complete, and after the client's end.

        Raises TlsError.
        """
        while not self.closed and (record := self._take_record()):
            self._connection.bio_write(record)
            self._read_sequence += record[0] == _APPLICATION_DATA
            try:
                return self._connection.recv(_READ_BYTES)
            except SSL.ZeroReturnError:
                self.closed = True
            except SSL.WantReadError:
                if self.transferable and record[0] == _APPLICATION_DATA:
                    raise TlsError("a record after the handshake holds no data") from None
            except SSL.Error as error:
                self._collect_output()
                raise TlsError(_describe(error)) from None
            self._collect_output()
        return None

    def send(self, plaintext: bytes) -> None:
        """Encrypt; the records are in the next `drain`."""
        self._connection.sendall(plaintext)  # `send` takes one record at most
        self._collect_output()

    def finish(self) -> None:
        """Say that nothing more will be sent (close_notify)."""
        try:
            self._connection.shutdown()
        except SSL.Error:  # the handshake never came far enough for an alert
            return
        self._collect_output()

    def drain(self) -> bytes:
        """Return what has to be sent now."""
        output = bytes(self._outbox)
        self._outbox.clear()
        return output

    def state(self) -> TlsState:
        """Return the record layer, for the process that goes on with it. This channel must stop then."""
        assert self.established
        assert self.transferable
        assert not self._outbox
        return TlsState(
            cipher=self._connection.get_cipher_name() or "",
            read_secret=bytes(self._observed.read_secret),
            write_secret=bytes(self._observed.write_secret),
            read_sequence=self._read_sequence,
            write_sequence=self._write_sequence,
            unread=bytes(self._inbox),
        )

    def wipe(self) -> None:
        """Overwrite the secrets kept here."""
        for secret in (self._observed.read_secret, self._observed.write_secret):
            secret[:] = bytes(len(secret))

    def _take_handshake_records(self) -> bytes:
        """Cut off all whole records up to the first protected one, which may be the client's last.

        TLS 1.3 hides the client's Finished in it, so it is taken too; in TLS 1.2 it is data already,
        unless the handshake is not over: then it comes first here, and OpenSSL has an alert for it.
        """
        end = 0
        while (size := self._record_size(end)) is not None:
            protected = self._inbox[end] == _APPLICATION_DATA
            if not protected or self.transferable or not end:
                end += size
            if protected:
                break
        return self._cut(end)

    def _take_record(self) -> bytes:
        return self._cut(self._record_size(0) or 0)

    def _record_size(self, start: int) -> int | None:
        """Return the size of the record at `start` of the inbox, None if it is not whole yet."""
        inbox = self._inbox
        if len(inbox) - start < _HEADER_BYTES:
            return None
        size = _HEADER_BYTES + int.from_bytes(inbox[start + 3 : start + _HEADER_BYTES], "big")
        if inbox[start] not in _RECORD_TYPES or size > _HEADER_BYTES + _RECORD_BYTES_MAX:
            self._reject(bytes(inbox[start:]))
            raise TlsError("this is not a TLS record")
        return size if len(inbox) - start >= size else None

    def _reject(self, garbage: bytes) -> None:
        """Have OpenSSL answer what is no record, with the keys that are in use now."""
        self._connection.bio_write(garbage)
        with contextlib.suppress(SSL.Error):
            self._connection.recv(_READ_BYTES)
        self._collect_alert()

    def _collect_alert(self) -> None:
        """Fetch the alert of a failure; there is one also where OpenSSL keeps silent, without keys."""
        self._collect_output()
        if not self._outbox:
            self._outbox += _UNEXPECTED_MESSAGE

    def _cut(self, end: int) -> bytes:
        taken = bytes(self._inbox[:end])
        del self._inbox[:end]
        return taken

    def _collect_output(self) -> None:
        """Fetch what OpenSSL wrote; from the end of the handshake on its records are counted."""
        output = bytearray()
        try:
            while len(chunk := self._connection.bio_read(_READ_BYTES)) == _READ_BYTES:
                output += chunk
            output += chunk
        except SSL.WantReadError:
            pass
        if self.established:
            self._write_sequence += _count_records(output)
        self._outbox += output


def _count_records(data: bytearray) -> int:
    count = at = 0
    while at < len(data):
        at += _HEADER_BYTES + int.from_bytes(data[at + 3 : at + _HEADER_BYTES], "big")
        count += 1
    return count


def _describe(error: SSL.Error) -> str:
    """Return OpenSSL's reason, such as "no shared cipher"."""
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        return str(error.args[0][-1][-1])
    return "the connection was cut"
