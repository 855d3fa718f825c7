"""What passes from the relay to a query processor: the client's socket and who is behind it.

The socket travels beside this message as one file descriptor (SCM_RIGHTS). Whoever encodes it wipes
its own copy of the secrets afterwards.
"""

from __future__ import annotations

import msgspec

CIPHERS = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)


class TlsState(msgspec.Struct, array_like=True):
    """The TLS 1.3 record layer at the moment of the hand-off (RFC 8446, section 7.3).

    `read_*` protects what the client sends, `write_*` what it receives. A sequence number is that of
    the next record under the current secret. `unread` is ciphertext already taken from the socket.
    """

    cipher: str
    read_secret: bytes
    write_secret: bytes
    read_sequence: int
    write_sequence: int
    unread: bytes = b""


class HandedSession(msgspec.Struct, array_like=True):
    """An authenticated connection, ready for AuthenticationOk.

    `tls` is None where the relay goes on decrypting (TLS 1.2 clients): the socket then carries plain
    protocol bytes. `pending` is plaintext already read beyond the password message. `parameters` are
    those of the StartupMessage, `user` and `database` included, `options` not yet split.
    `identity` is the ARN that signed the token. `process_id` and `secret_key` are the BackendKeyData.
    """

    cluster: str
    user: str
    database: str
    identity: str
    parameters: dict[str, str]
    process_id: int
    secret_key: int
    client_address: str
    tls: TlsState | None
    pending: bytes = b""


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(HandedSession).decode
