"""A real TLS 1.3 client, and the state that a relay would hand on after its handshake."""

from __future__ import annotations

import contextlib
import datetime
import ssl
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from dsql.session.handed import TlsState


@cache
def certificate() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    return builder.sign(key, hashes.SHA256()), key


def records(data: bytes) -> int:
    """How many records `data` holds."""
    count = at = 0
    while at < len(data):
        count += 1
        at += 5 + int.from_bytes(data[at + 3 : at + 5], "big")
    return count


class Client:
    """Python's ssl over memory."""

    def __init__(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing)

    def seal(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    def open(self, data: bytes) -> bytes:
        self.incoming.write(data)
        got = b""
        while True:
            try:
                part = self.tls.read(65_536)
            except ssl.SSLWantReadError:
                return got
            if not part:
                return got
            got += part

    def seal_close(self) -> bytes:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.outgoing.read()


def connect(suite: str) -> tuple[Client, TlsState]:
    """Do a handshake with this cipher suite."""
    secrets: dict[bytes, bytes] = {}

    def remember(_connection: SSL.Connection, line: bytes) -> None:
        label, _, secret = line.split()
        secrets[label] = bytes.fromhex(secret.decode())

    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(suite.encode())
    issued, key = certificate()
    context.use_certificate(issued)
    context.use_privatekey(key)
    context.set_keylog_callback(remember)
    server = SSL.Connection(context, None)
    server.set_accept_state()
    client = Client()
    sent_last = b""
    for _ in range(3):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.do_handshake()
        if data := client.outgoing.read():
            server.bio_write(data)
            with contextlib.suppress(SSL.WantReadError):
                server.do_handshake()
        try:
            sent_last = server.bio_read(65_536)
        except SSL.WantReadError:
            break
        client.incoming.write(sent_last)
    state = TlsState(
        suite,
        secrets[b"CLIENT_TRAFFIC_SECRET_0"],
        secrets[b"SERVER_TRAFFIC_SECRET_0"],
        0,
        records(sent_last),
    )
    return client, state
