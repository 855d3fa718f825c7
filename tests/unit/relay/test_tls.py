import contextlib
import datetime
from pathlib import Path

import pytest
from OpenSSL import SSL

from dsql.control.authority import Authority, CertificateFiles
from dsql.session.handed import TlsState
from dsql.tls.record import RecordLayer
from relay.tls import HANDSHAKE_BYTES_MAX, TlsChannel, TlsError, make_context, make_entry_context

HANDSHAKE, KEY_UPDATE = 0x16, b"\x18\0\0\x01\0"


@pytest.fixture
def pair(tmp_path: Path, layout) -> tuple[Path, Path]:
    names = Path("certificate.pem"), Path("key.pem")
    now = datetime.datetime.now(datetime.UTC)
    Authority.open(layout).issue(CertificateFiles(["localhost"], *names), now)
    return names


class Client:
    """A TLS client on memory that knows its secrets."""

    def __init__(self, *, tls12: bool = False, server_name: bytes = b"localhost") -> None:
        self.secrets: dict[bytes, bytes] = {}
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_keylog_callback(self._keep)
        if tls12:
            context.set_max_proto_version(SSL.TLS1_2_VERSION)
        self.tls = SSL.Connection(context, None)
        self.tls.set_tlsext_host_name(server_name)
        self.tls.set_connect_state()

    def _keep(self, _: SSL.Connection, line: bytes) -> None:
        label, _, secret = line.split(b" ")
        self.secrets[label] = bytes.fromhex(secret.decode())

    def handshake(self, channel: TlsChannel) -> None:
        while not channel.established:
            with contextlib.suppress(SSL.WantReadError):
                self.tls.do_handshake()
            channel.receive(self.output())
            channel.advance_handshake()
            if sent := channel.drain():
                self.tls.bio_write(sent)

    def output(self) -> bytes:
        try:
            return self.tls.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

    def seal(self, data: bytes) -> bytes:
        self.tls.sendall(data)
        return self.output()

    def records(self, cipher: str, sequence: int = 0) -> RecordLayer:
        """Return the client's record layer, to make records that OpenSSL would not make."""
        write = self.secrets[b"CLIENT_TRAFFIC_SECRET_0"]
        read = self.secrets[b"SERVER_TRAFFIC_SECRET_0"]
        return RecordLayer(TlsState(cipher, read, write, 0, sequence))


@pytest.fixture
def channel(pair) -> TlsChannel:
    return TlsChannel(make_context(*pair))


def test_state_names_the_secrets_and_the_next_records(channel) -> None:
    client = Client()
    client.handshake(channel)
    channel.receive(client.seal(b"one") + client.seal(b"two") + client.seal(b"three"))
    assert [channel.next_plaintext(), channel.next_plaintext()] == [b"one", b"two"]
    channel.send(b"x" * 40_000)
    client.tls.bio_write(channel.drain())
    state = channel.state()
    assert state.read_secret == client.secrets[b"CLIENT_TRAFFIC_SECRET_0"]
    assert state.write_secret == client.secrets[b"SERVER_TRAFFIC_SECRET_0"]
    assert state.read_sequence == 2
    assert RecordLayer(state).open(b"") == b"three"


@pytest.mark.parametrize("size", [1, 7, 100])
def test_state_does_not_depend_on_how_the_stream_is_cut(channel, size) -> None:
    client = Client()
    client.handshake(channel)
    stream = client.seal(b"one") + client.seal(b"two")
    plain = []
    for at in range(0, len(stream), size):
        channel.receive(stream[at : at + size])
        while (data := channel.next_plaintext()) is not None:
            plain.append(data)
    assert plain == [b"one", b"two"]
    assert channel.state().read_sequence == 2


def test_another_owner_of_the_state_is_understood_by_the_client(channel) -> None:
    client = Client()
    client.handshake(channel)
    channel.send(b"from the relay")
    client.tls.bio_write(channel.drain())
    client.tls.bio_write(RecordLayer(channel.state()).seal(b", and from its successor"))
    assert client.tls.recv(100) + client.tls.recv(100) == b"from the relay, and from its successor"


def test_key_update_before_the_hand_over_ends_the_connection(channel) -> None:
    client = Client()
    client.handshake(channel)
    records = client.records("TLS_AES_128_GCM_SHA256")
    channel.receive(records._seal_record(KEY_UPDATE, HANDSHAKE))
    with pytest.raises(TlsError, match="holds no data"):
        channel.next_plaintext()


def test_wiped_channel_keeps_no_secret(channel) -> None:
    client = Client()
    client.handshake(channel)
    channel.wipe()
    assert not any(channel.state().read_secret + channel.state().write_secret)


def test_tls12_is_not_transferable(channel) -> None:
    client = Client(tls12=True)
    client.handshake(channel)
    assert not channel.transferable
    channel.receive(client.seal(b"hello"))
    assert channel.next_plaintext() == b"hello"


def test_close_notify_is_the_end(channel) -> None:
    client = Client()
    client.handshake(channel)
    client.tls.shutdown()
    channel.receive(client.output())
    assert channel.next_plaintext() is None
    assert channel.closed


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1", b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\0\x04\x01\xff\xff\xff"]
)
def test_garbage_is_an_error(channel, garbage) -> None:
    channel.receive(garbage)
    with pytest.raises(TlsError):
        for _ in range(2000):
            channel.advance_handshake()
            channel.receive(b"\x16\x03\x01\0\x01\0")


def test_changed_record_is_an_error(channel) -> None:
    client = Client()
    client.handshake(channel)
    record = bytearray(client.seal(b"hello"))
    record[-1] ^= 1
    channel.receive(bytes(record))
    with pytest.raises(TlsError):
        channel.next_plaintext()


def test_endless_handshake_is_cut(channel) -> None:
    with pytest.raises(TlsError, match="too long"):
        channel.receive(bytes(HANDSHAKE_BYTES_MAX + 1))


def test_unusable_certificate_of_a_cluster_leaves_the_entry_context(pair) -> None:
    def fail(name: str) -> SSL.Context | None:
        raise OSError("no such file")

    channel = TlsChannel(make_entry_context(*pair, fail))
    client = Client(server_name=b"abc.example")
    client.handshake(channel)
    assert channel.server_name == "abc.example"
