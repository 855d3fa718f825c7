import asyncio
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

Fields = Callable[[bytes], dict[str, str]]
CIPHERS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")


async def in_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.wait_for(asyncio.to_thread(work), 10)


@pytest.mark.parametrize("cipher", CIPHERS)
async def test_session_goes_on_elsewhere_with_every_tls13_cipher(installation, cipher) -> None:
    def talk() -> bytes:
        client = installation.client(ciphers=cipher)
        try:
            assert client.log_in(installation.token())[-1] == (b"Z", b"I")
            for _ in range(3):
                answer = client.query("select 1")
            return answer[1][1]
        finally:
            client.close()

    assert (await in_thread(talk)).endswith(b"admin: select 1")
    (handed,) = installation.neighbours.handed
    assert handed.tls.cipher == cipher


async def test_psycopg_verifies_the_certificate_and_talks(installation) -> None:
    def talk() -> str:
        with psycopg.connect(
            host=installation.cluster.endpoint,
            hostaddr="127.0.0.1",
            port=installation.port,
            user="admin",
            password=installation.token(),
            dbname="postgres",
            sslmode="verify-full",
            sslrootcert=str(installation.layout.ca_certificate),
            autocommit=True,
        ) as connection:
            return connection.execute("hello").fetchone()[0]

    assert await in_thread(talk) == "admin: hello"
