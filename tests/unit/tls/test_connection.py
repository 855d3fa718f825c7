import shutil
import socket
import ssl
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL

from dsql.session.handed import CIPHERS, TlsState
from dsql.tls.connection import open_connection
from dsql.tls.record import TlsError
from tests.unit.tls.peer import certificate, connect, records


def test_plain_bytes_pass_unchanged():
    ours, theirs = socket.socketpair()
    connection = open_connection(ours, None)
    theirs.sendall(b"abc")
    assert connection.receive() == b"abc"
    connection.send(bytearray(b"def"))
    assert theirs.recv(10) == b"def"
    theirs.close()
    assert connection.receive() == b""
    connection.close()


@pytest.mark.parametrize("secure", [False, True])
def test_receive_gives_up_after_its_timeout(secure):
    ours, theirs = socket.socketpair()
    connection = open_connection(ours, connect(CIPHERS[0])[1] if secure else None)
    connection.deadline = time.monotonic() + 0.01
    with pytest.raises(TimeoutError):
        connection.receive()
    connection.close()
    theirs.close()


@pytest.mark.parametrize("secure", [False, True])
def test_what_a_stalled_send_has_left_goes_out_first(secure):
    """Whoever gives up on a client that does not read can still tell it why, later."""
    ours, theirs = socket.socketpair()
    client, state = connect(CIPHERS[0]) if secure else (None, None)
    connection = open_connection(ours, state)

    def give_up():
        raise TimeoutError

    connection.on_stall = give_up
    with pytest.raises(TimeoutError):
        connection.send(b"x" * 5_000_000)
    connection.on_stall = lambda: None
    got = []

    def read():
        while not b"".join(got[-2:]).endswith(b"why"):
            data = theirs.recv(1 << 20)
            got.append(client.open(data) if client else data)

    reading = threading.Thread(target=read)
    reading.start()
    connection.send(b"why")
    reading.join(10)
    assert b"".join(got) == b"x" * 5_000_000 + b"why"
    connection.close()
    theirs.close()


def test_a_client_is_gone_whatever_it_has_sent_before():
    ours, theirs = socket.socketpair()
    connection = open_connection(ours, None)
    theirs.sendall(b"more to do")
    assert not connection.is_gone()
    theirs.close()
    assert connection.is_gone()
    connection.close()


def test_a_tls_client_talks_and_says_goodbye():
    ours, theirs = socket.socketpair()
    client, state = connect(CIPHERS[0])
    connection = open_connection(ours, state)
    theirs.sendall(client.seal(b"hello"))
    assert connection.receive() == b"hello"
    connection.send(b"x" * 40_000)
    got = b""
    while len(got) < 40_000:
        got += client.open(theirs.recv(65_536))
    assert got == b"x" * 40_000
    theirs.sendall(client.seal_close())
    assert connection.receive() == b""
    connection.close()
    with pytest.raises(ssl.SSLZeroReturnError):
        client.open(theirs.recv(100))
    theirs.close()


def test_ciphertext_handed_over_is_opened_before_the_socket_is_read():
    ours, theirs = socket.socketpair()
    client, state = connect(CIPHERS[0])
    state.unread = client.seal(b"early")
    connection = open_connection(ours, state)
    assert connection.receive() == b"early"
    connection.close()
    theirs.close()


def test_a_detached_connection_goes_on_elsewhere():
    ours, theirs = socket.socketpair()
    client, state = connect(CIPHERS[0])
    theirs.sendall(client.seal(b"one"))
    first = open_connection(ours, state)
    assert first.receive() == b"one"
    second = open_connection(ours, first.tls_state())
    first.detach()
    theirs.sendall(client.seal(b"two"))
    assert second.receive() == b"two"
    second.close()
    theirs.close()


def test_the_client_gets_an_alert_for_a_broken_record():
    ours, theirs = socket.socketpair()
    client, state = connect(CIPHERS[0])
    connection = open_connection(ours, state)
    theirs.sendall(b"\x17\x03\x03\0\x20" + bytes(32))
    with pytest.raises(TlsError):
        connection.receive()
    assert client.tls.version() == "TLSv1.3"
    with pytest.raises(OSError, match="bad record mac"):
        client.open(theirs.recv(100))
    connection.close()
    theirs.close()


@pytest.fixture
def certificate_file(tmp_path):
    issued, key = certificate()
    path = tmp_path / "server.pem"
    path.write_bytes(
        issued.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return str(path)


def accept_and_hand_over(listener: socket.socket, path: str) -> tuple[socket.socket, TlsState]:
    """Do a handshake as the relay does, over a socket."""
    secrets = {}
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.use_certificate_file(path)
    context.use_privatekey_file(path)
    context.set_keylog_callback(lambda _, line: secrets.update([line.split()[::2]]))
    listener.settimeout(5)
    client, _ = listener.accept()
    client.settimeout(5)
    server = SSL.Connection(context, None)
    server.set_accept_state()
    done = False
    while not done:
        server.bio_write(client.recv(65_536))
        try:
            server.do_handshake()
            done = True
        except SSL.WantReadError:
            pass
        sent = server.bio_read(65_536)
        client.sendall(sent)
    state = TlsState(
        str(server.get_cipher_name()),
        bytes.fromhex(secrets[b"CLIENT_TRAFFIC_SECRET_0"].decode()),
        bytes.fromhex(secrets[b"SERVER_TRAFFIC_SECRET_0"].decode()),
        0,
        records(sent),
    )
    return client, state


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl s_client")
@pytest.mark.parametrize("command", ["k", "K"])
def test_openssls_own_key_updates_are_followed(command, certificate_file):
    """`k` updates the client's key, `K` asks for ours as well."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{listener.getsockname()[1]}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    connection = open_connection(*accept_and_hand_over(listener, certificate_file))
    connection.deadline = time.monotonic() + 5
    received = threading.Event()

    def type_commands() -> None:
        assert client.stdin is not None
        client.stdin.write(b"before\n")
        client.stdin.flush()
        received.wait(5)
        client.stdin.write(command.encode() + b"\n")
        client.stdin.flush()
        time.sleep(0.2)  # s_client takes a command only from a read of its own
        client.stdin.write(b"after\n")
        client.stdin.flush()

    typing = threading.Thread(target=type_commands)
    typing.start()
    assert connection.receive() == b"before\n"
    received.set()
    rest = connection.receive()
    while b"after" not in rest:
        rest += connection.receive()
    connection.send(b"still understood\n")
    connection.close()
    typing.join()
    output, _ = client.communicate(timeout=5)
    listener.close()
    assert b"still understood" in output
    assert rest == b"after\n"
