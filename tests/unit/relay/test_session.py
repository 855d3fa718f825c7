import asyncio
import gc
import logging
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from OpenSSL import SSL

from dsql.client.asyncpg import create_pool
from dsql.client.auth_token import Credentials
from dsql.client.endpoint import Endpoint
from dsql.control.identities import AccessKey, AttachedPolicy
from relay.front_door import Settings
from relay.session import RelaySession

CIPHERS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
UNEXPECTED_MESSAGE = b"\x15\x03\x01\0\x02\x02\x0a"


async def in_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.wait_for(asyncio.to_thread(work), 10)


@pytest.fixture
def refusal(installation, fields):
    """Log in, expecting a refusal; return its fields."""

    async def log_in(token: str, parameters: dict[str, str] | None = None, **options: Any) -> Any:
        def talk() -> dict[str, str]:
            client = installation.client(**options)
            try:
                ((kind, body),) = client.log_in(token, **(parameters or {}))
                assert kind == b"E"
                with pytest.raises(SSL.Error):  # close_notify, then nothing
                    client.tls.recv(1)
                return fields(body)
            finally:
                client.close()

        answer = await in_thread(talk)
        assert answer["S"] == answer["V"] == "FATAL"
        return answer

    return log_in


@pytest.fixture
def raw(installation):
    """Send bytes without TLS and return everything that comes back until the end."""

    async def exchange(*parts: bytes) -> bytes:
        def talk() -> bytes:
            with socket.create_connection(("127.0.0.1", installation.port), timeout=10) as client:
                received = b""
                for part in parts:
                    client.sendall(part)
                    if part is not parts[-1]:
                        received += client.recv(1)
                while data := client.recv(65536):
                    received += data
                return received

        return await in_thread(talk)

    return exchange


@pytest.mark.parametrize("cipher", CIPHERS)
async def test_session_goes_on_elsewhere_with_every_tls13_cipher(installation, cipher) -> None:
    def talk() -> list[bytes]:
        client = installation.client(ciphers=cipher)
        try:
            assert client.log_in(installation.token())[-1] == (b"Z", b"I")
            return [client.query(f"select {n}")[1][1] for n in range(3)]
        finally:
            client.close()

    answers = await in_thread(talk)
    assert answers[2].endswith(b"admin: select 2")
    (handed,) = installation.neighbours.handed
    assert handed.tls.cipher == cipher
    assert handed.identity == installation.key.principal


@pytest.mark.parametrize("tls12", [False, True])
async def test_a_login_leaves_nothing_that_only_the_collector_would_find(
    installation, tls12
) -> None:
    def logins() -> int:
        return sum(type(found) is RelaySession for found in gc.get_objects())

    def talk() -> None:
        client = installation.client(tls12=tls12)
        assert client.log_in(installation.token())[-1] == (b"Z", b"I")
        client.close()

    gc.collect()
    gc.disable()
    try:
        before = logins()
        await in_thread(talk)
        async with asyncio.timeout(30):
            while logins() > before:
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


@pytest.mark.parametrize("negotiation", ["postgres", "direct"])
async def test_psycopg_verifies_the_certificate_and_talks(installation, negotiation) -> None:
    def talk() -> str:
        with psycopg.connect(
            host=installation.cluster.endpoint,
            hostaddr="127.0.0.1",
            port=installation.port,
            user="admin",
            password=installation.token(),
            dbname="postgres",
            sslmode="verify-full",
            sslnegotiation=negotiation,
            sslrootcert=str(installation.layout.ca_certificate),
            autocommit=True,
        ) as connection:
            return connection.execute("hello").fetchone()[0]

    assert await in_thread(talk) == "admin: hello"


async def test_client_kit_pool_talks_and_retires_its_connections(installation) -> None:
    key = installation.key
    endpoint = Endpoint(
        installation.cluster.endpoint,
        address="127.0.0.1",
        port=installation.port,
        certificate_authority=str(installation.layout.ca_certificate),
        credentials=lambda: Credentials(key.access_key_id, key.secret_access_key),
    )
    pool = await create_pool(endpoint)
    async with pool:
        assert await pool.execute("hello") == "SELECT 1"
        assert await pool.execute("again") == "SELECT 1"
        assert len(installation.neighbours.handed) == 1
        async with pool.acquire() as connection:
            connection._con.retire_at = 0.0
        assert await pool.run_in_transaction(lambda c: c.execute("work")) == "SELECT 1"
    assert len(installation.neighbours.handed) == 2


async def test_tls12_client_is_served_through_a_decrypting_copy(installation) -> None:
    def talk() -> bytes:
        client = installation.client(tls12=True)
        try:
            assert client.log_in(installation.token())[-1] == (b"Z", b"I")
            client.query("warm up")
            return client.query("x" * 200_000)[1][1]
        finally:
            client.close()

    answer = await in_thread(talk)
    assert answer.endswith(b"admin: " + b"x" * 200_000)
    assert installation.neighbours.handed[0].tls is None
    assert installation.relay.door.metrics.spliced == 1
    await asyncio.sleep(0.1)
    assert len(installation.relay.door.splices) == 0


@pytest.mark.parametrize("tls12", [False, True])
async def test_end_of_the_session_reaches_the_client_as_close_notify(installation, tls12) -> None:
    def talk() -> None:
        client = installation.client(tls12=tls12)
        try:
            client.log_in(installation.token())
            client.tls.sendall(b"X\0\0\0\x04")
            with pytest.raises(SSL.ZeroReturnError):
                client.tls.recv(1)
        finally:
            client.close()

    await in_thread(talk)


async def test_end_of_a_tls12_client_reaches_the_session(installation) -> None:
    def talk() -> None:
        client = installation.client(tls12=True)
        client.log_in(installation.token())
        client.close()

    await in_thread(talk)
    (thread,) = installation.neighbours.threads
    await asyncio.to_thread(thread.join, 5)
    assert not thread.is_alive()


async def test_last_words_reach_a_tls12_client_that_talks_on(installation) -> None:
    def talk() -> list[tuple[bytes, bytes]]:
        client, other = installation.client(tls12=True), installation.client()
        try:
            client.log_in(installation.token())
            client.query("END")
            client.tls.sendall(b"nobody listens")
            other.log_in(installation.token())  # by now the relay has tried to pass that on
            installation.neighbours.last_words.set()
            return client.until(b"Z")
        finally:
            client.close()
            other.close()

    answers = await in_thread(talk)
    assert answers[1][1].endswith(b"last words")


async def test_slow_reader_of_a_tls12_session_gets_everything(installation) -> None:
    """The answers are more than all buffers between the two ends hold."""

    def talk() -> int:
        client = installation.client(tls12=True)
        client.log_in(installation.token())
        client.tls.sendall(b"Q\0\0\0\x06a\0" * 50_000)
        time.sleep(0.3)
        received = sum(kind == b"D" for _ in range(50_000) for kind, body in client.until(b"Z"))
        client.close()
        return received

    assert await in_thread(talk) == 50_000


@pytest.mark.parametrize("tls12", [False, True])
async def test_what_follows_the_password_reaches_the_session(installation, tls12) -> None:
    query = b"Q" + struct.pack("!I", 9) + b"ping\0"

    def talk() -> list[tuple[bytes, bytes]]:
        client = installation.client(tls12=tls12)
        try:
            client.startup()
            client.read()
            client.password(installation.token(), more=query)  # in the password's own record
            client.tls.sendall(query)  # in one more record, maybe read before the hand-over
            client.until(b"Z")
            return client.until(b"Z") + client.until(b"Z")
        finally:
            client.close()

    answers = await in_thread(talk)
    assert [body for kind, body in answers if kind == b"D"] == [
        struct.pack("!HI", 1, 11) + b"admin: ping"
    ] * 2


async def test_newer_protocol_is_negotiated_down(installation) -> None:
    def talk() -> list[tuple[bytes, bytes]]:
        client = installation.client()
        try:
            client.startup(version=196610, **{"_pq_.feature": "on"})
            return [client.read(), client.read()]
        finally:
            client.close()

    version, password = await in_thread(talk)
    assert version == (b"v", struct.pack("!HHI", 3, 0, 1) + b"_pq_.feature\0")
    assert password == (b"R", b"\0\0\0\3")


async def test_cluster_may_be_named_in_the_startup_options(installation) -> None:
    options = f"-c amzn-cluster-id={installation.cluster.identifier} -c search_path=a"

    def talk() -> list[tuple[bytes, bytes]]:
        client = installation.client(server_name="localhost")
        try:
            return client.log_in(installation.token(), options=options)
        finally:
            client.close()

    assert (await in_thread(talk))[-1] == (b"Z", b"I")
    assert installation.neighbours.handed[0].parameters["options"] == "-c search_path=a"


async def test_missing_sni_is_named(installation, refusal, monkeypatch) -> None:
    monkeypatch.setattr(SSL.Connection, "set_tlsext_host_name", lambda *_: None)
    answer = await refusal(installation.token())
    assert answer["M"] == "unable to accept connection, sni was not received"


async def test_sni_and_option_must_agree(installation, refusal) -> None:
    options = {"options": f"-c amzn-cluster-id={'b' * 26}"}
    answer = await refusal(installation.token(), options)
    assert answer["M"] == "unable to accept connection, cluster id does not match the sni"


@pytest.mark.parametrize("name", ["localhost", f"{'q' * 26}.dsql.us-east-1.on.aws"])
async def test_unknown_cluster_is_refused(installation, refusal, name) -> None:
    answer = await refusal(installation.token(), server_name=name)
    assert answer["M"] == "unable to accept connection, cluster not found"


async def test_wrong_token_is_refused_and_charges_the_cluster_nothing(
    installation, refusal
) -> None:
    token = installation.token()[:-4] + "beef"
    answer = await refusal(token)
    assert (answer["C"], answer["M"]) == ("28000", "unable to accept connection, access denied")
    assert answer["H"].startswith("The request signature we calculated does not match")
    assert installation.neighbours.placed == 0


async def test_expired_token_is_refused_with_the_reason(installation, refusal) -> None:
    installation.relay.door.wall_clock = lambda: time.time() + 1000
    answer = await refusal(installation.token())
    assert answer["M"] == "unable to accept connection, access denied"
    assert answer["H"].startswith("Signature expired: ")


async def test_token_of_users_does_not_open_the_door_for_admin(installation, refusal) -> None:
    answer = await refusal(installation.token(user="app"))
    assert answer["H"] == "Wrong user to action mapping. user: admin, action: DbConnect"
    answer = await refusal(installation.token(), {"user": "app"})
    assert answer["H"] == "Wrong user to action mapping. user: app, action: DbConnectAdmin"


async def test_principal_without_permission_is_refused(installation, refusal) -> None:
    bob = "arn:aws:iam::111122223333:user/bob"
    installation.key = AccessKey("AKIABOB", "secret", bob)
    statement = {"Effect": "Allow", "Action": "dsql:DbConnect", "Resource": "*"}
    allowed = AttachedPolicy(bob, "connects", {"Statement": statement})
    installation.keys.add(installation.key, [allowed])
    answer = await refusal(installation.token())
    assert answer["H"].startswith(f"User: {bob} is not authorized to perform: dsql:DbConnectAdmin")


async def test_who_may_not_connect_is_named_in_the_audit_line(
    installation, refusal, caplog
) -> None:
    caplog.set_level(logging.INFO, logger="relay.audit")
    bob = "arn:aws:iam::111122223333:user/bob"
    installation.key = AccessKey("AKIABOB", "secret", bob)
    installation.keys.add(installation.key)
    await refusal(installation.token())
    (record,) = [record for record in caplog.records if record.name == "relay.audit"]
    identity = vars(record)["userIdentity"]
    assert (identity["arn"], identity["accessKeyId"]) == (bob, "AKIABOB")
    assert vars(record)["errorMessage"] == "not authorized"


async def test_a_roles_session_is_let_in_until_the_role_is_gone(installation, refusal) -> None:
    keys, arn = installation.keys, "arn:aws:iam::111122223333:role/Writer"
    statement = {"Effect": "Allow", "Action": "dsql:DbConnectAdmin", "Resource": "*"}
    with keys.changing() as identities:
        role = identities.create_role("111122223333", "Writer", None, 0.0)
        identities.put_policy(AttachedPolicy(arn, "connects", {"Statement": statement}))
    installation.key = keys.begin_session(role, "laptop", time.time(), 900, "")

    def talk() -> None:
        client = installation.client()
        client.log_in(installation.token())
        client.close()

    await in_thread(talk)
    (handed,) = installation.neighbours.handed
    assert handed.identity == arn
    with keys.changing() as identities:
        identities.delete_owner(arn)
    answer = await refusal(installation.token())
    assert answer["H"] == "The security token included in the request is invalid."


async def test_other_database_does_not_exist(installation, refusal) -> None:
    answer = await refusal(installation.token(), {"database": "shop"})
    assert (answer["C"], answer["M"]) == ("3D000", 'database "shop" does not exist')


async def test_names_are_as_long_as_an_identifier(installation, refusal) -> None:
    names = {"user": "ä" * 40, "database": "shop" * 20}
    answer = await refusal(installation.token(), names)
    assert answer["H"].startswith(f"Wrong user to action mapping. user: {'ä' * 31},")
    answer = await refusal(installation.token(), names | {"user": "admin"})
    assert answer["M"] == f'database "{("shop" * 20)[:63]}" does not exist'


async def test_refusal_of_placement_reaches_the_client(installation, refusal) -> None:
    message = "Unable to accept connection, too many open connections."
    installation.neighbours.refusal = ("53300", message)
    answer = await refusal(installation.token())
    assert (answer["C"], answer["M"]) == ("53300", message)


async def test_silent_placement_is_a_refusal_too(installation, refusal, monkeypatch) -> None:
    monkeypatch.setattr("placement.client.PATIENCE_SECONDS", 0.2)
    installation.neighbours.close()
    answer = await refusal(installation.token())
    assert answer["C"] == "57P03"


@pytest.mark.parametrize("settings", [Settings(place_seconds=0.4, drain_seconds=1.0)])
async def test_nothing_is_written_once_an_agent_may_have_the_socket(installation) -> None:
    installation.neighbours.silent = True

    def talk() -> bytes:
        client = installation.client()
        try:
            client.startup()
            client.read()
            client.password(installation.token())
            return client.tls.recv(1)
        except SSL.SysCallError as error:
            return str(error).encode()
        finally:
            client.close()

    assert b"Unexpected EOF" in await in_thread(talk)


async def test_a_login_waits_for_a_placement_service_that_is_being_started_again(
    installation,
) -> None:
    installation.neighbours.close()

    def talk() -> bytes:
        client = installation.client()
        try:
            return client.log_in(installation.token())[-1][0]
        finally:
            client.close()

    talking = asyncio.create_task(in_thread(talk))
    while not installation.relay.door.metrics.logins:
        await asyncio.sleep(0.01)
    installation.neighbours = type(installation.neighbours)(installation.layout)
    assert await talking == b"Z"


async def test_a_login_waits_for_an_agent_that_is_being_started_again(installation) -> None:
    agent = installation.layout.socket("agent")
    agent.rename(agent.with_suffix(".away"))

    def talk() -> bytes:
        client = installation.client()
        try:
            return client.log_in(installation.token())[-1][0]
        finally:
            client.close()

    talking = asyncio.create_task(in_thread(talk))
    while installation.neighbours.placed < 2:
        await asyncio.sleep(0.01)
    agent.with_suffix(".away").rename(agent)
    assert await talking == b"Z"


async def test_direct_tls_without_alpn_is_refused(installation, fields) -> None:
    def talk() -> tuple[bytes, bytes]:
        client = installation.client(direct=True, alpn=b"")
        try:
            return client.read()
        finally:
            client.close()

    kind, body = await in_thread(talk)
    assert kind == b"E"
    assert "without ALPN" in fields(body)["M"]


async def test_plaintext_session_is_told_that_tls_is_needed(raw, fields) -> None:
    body = struct.pack("!I", 196608) + b"user\0admin\0\0"
    answer = await raw(struct.pack("!I", len(body) + 4) + body)
    assert answer[:1] == b"E"
    assert fields(answer[5:])["M"] == "unable to accept connection, SSL is required"


async def test_gss_encryption_is_declined_and_tls_still_possible(raw) -> None:
    gss = struct.pack("!II", 8, 80877104)
    tls = struct.pack("!II", 8, 80877103)
    alert = b"\x15\x03\x01\x00\x02\x02\x28"
    assert (await raw(gss, tls, alert)).startswith(b"NS")


async def test_data_behind_the_ssl_request_is_refused(raw, fields) -> None:
    answer = await raw(struct.pack("!II", 8, 80877103) + b"\x16")
    assert fields(answer[5:])["M"] == "received unencrypted data after SSL request"


def cancel(installation, *, known: bool = True) -> tuple[tuple[int, int], bytes]:
    """Return a process id with a secret key, and the request made of them."""
    key = installation.relay.door.cancel_keys.make(4711)
    pair = (4711, key if known else key ^ 1)
    return pair, struct.pack("!IIII", 16, 80877102, *pair)


async def test_cancel_is_forwarded_from_the_clear_and_from_tls(installation, raw) -> None:
    pair, request = cancel(installation)
    assert await raw(request) == b""

    def talk() -> None:
        client = installation.client()
        client.tls.sendall(request)
        with pytest.raises(SSL.ZeroReturnError):
            client.tls.recv(1)
        client.close()

    await in_thread(talk)
    await asyncio.sleep(0.1)
    assert installation.neighbours.cancelled == [pair] * 2


@pytest.mark.parametrize("settings", [Settings(cancel_rate=1, cancel_burst=2)])
async def test_cancels_are_limited_and_unknown_keys_go_nowhere(installation, raw) -> None:
    for _ in range(5):
        assert await raw(cancel(installation, known=False)[1]) == b""
    for _ in range(3):
        assert await raw(cancel(installation)[1]) == b""
    await asyncio.sleep(0.1)
    metrics = installation.relay.door.metrics
    assert (metrics.cancels, metrics.cancels_limited, metrics.cancels_unknown) == (2, 1, 5)
    assert len(installation.neighbours.cancelled) == 2


async def test_bytes_that_are_not_tls_end_the_connection(installation, raw) -> None:
    garbage = b"GET / HTTP/1.1\r\n\r\n" * 50
    assert await raw(struct.pack("!II", 8, 80877103), garbage) == b"S" + UNEXPECTED_MESSAGE
    assert installation.relay.door.metrics.broken == 1


@pytest.mark.parametrize("request_first", [False, True])
@pytest.mark.parametrize(
    "record", [b"\x17\x03\x03\0\x05hello", b"\x14\x03\x03\0\1\1" * 40, b"\x16\x47\x45\0\1\1"]
)
async def test_a_record_out_of_place_draws_an_alert(
    installation, raw, record, request_first
) -> None:
    parts = (struct.pack("!II", 8, 80877103), record) if request_first else (record,)
    answer = (await raw(*parts)).removeprefix(b"S")
    assert (answer[0], answer[5]) == (0x15, 2)
    assert installation.relay.door.metrics.open_logins == 0


async def test_name_beyond_ascii_is_an_unknown_cluster_and_no_traceback(
    installation, refusal, monkeypatch, caplog
) -> None:
    name_it = SSL.Connection.set_tlsext_host_name
    monkeypatch.setattr(
        SSL.Connection,
        "set_tlsext_host_name",
        lambda connection, _: name_it(connection, b"caf\xc3\xa9.example"),
    )
    answer = await refusal(installation.token())
    assert answer["M"] == "unable to accept connection, cluster not found"
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("settings", [Settings(login_seconds=0.2)])
@pytest.mark.parametrize("start", [b"", b"\0", struct.pack("!II", 8, 80877103)])
async def test_slow_clients_are_cut_off(installation, raw, start) -> None:
    answer = await raw(start) if start else await raw()
    assert answer[:1] in (b"E", b"S")
    assert installation.relay.door.metrics.open_logins == 0


@pytest.mark.parametrize(
    "settings", [Settings(open_logins_max=3), Settings(open_logins_per_address_max=3)]
)
async def test_silent_connections_give_way_to_a_login(installation, fields) -> None:
    silent = [await asyncio.open_connection("127.0.0.1", installation.port) for _ in range(5)]

    def talk() -> bytes:
        client = installation.client()
        try:
            return client.log_in(installation.token())[-1][0]
        finally:
            client.close()

    assert await in_thread(talk) == b"Z"
    for reader, _ in silent[:3]:
        assert fields((await reader.read())[5:])["C"] == "53300"
    metrics = installation.relay.door.metrics
    assert (metrics.gave_way, metrics.open_logins) == (3, 2)
    for _, writer in silent:
        writer.close()


async def test_every_attempt_leaves_one_audit_line_without_the_token(
    installation, refusal, caplog
) -> None:
    caplog.set_level(logging.INFO, logger="relay.audit")
    token = installation.token(user="app")
    await refusal(token)
    (record,) = [record for record in caplog.records if record.name == "relay.audit"]
    line = vars(record)
    assert line["outcome"] == "refused"
    assert line["errorMessage"] == "wrong action"
    assert (line["eventName"], line["errorCode"]) == ("DbConnectAdmin", "AccessDenied")
    asked = line["requestParameters"]
    assert asked["user"] == "admin"
    assert line["resources"][0]["ARN"].endswith(f":cluster/{installation.cluster.identifier}")
    assert line["sourceIPAddress"] == "127.0.0.1"
    assert line["tlsDetails"]["tlsVersion"].startswith("TLSv1.3")
    assert token[-64:] not in str(line)


async def test_client_that_leaves_early_is_accounted_for(installation) -> None:
    def talk() -> None:
        client = installation.client()
        client.startup()
        client.close()

    await in_thread(talk)
    await asyncio.sleep(0.1)
    metrics = installation.relay.door.metrics
    assert (metrics.accepted, metrics.broken, metrics.open_logins) == (1, 1, 0)
