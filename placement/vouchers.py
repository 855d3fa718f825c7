"""What tells a later agent what a query processor was given by an earlier one. Pure.

An agent gives a voucher with everything that it gives: the cluster, each session, each run of jobs. A query
processor keeps them unopened and shows them to the next agent. They are sealed with a secret in a file that
agents share, and name the process, the session's numbers and its very socket. So a process can claim
nothing but what it was given itself. The seed must not know the secret: whatever is in its memory is in
that of every query processor.
"""

from __future__ import annotations

import hmac

import msgspec

_SEAL_BYTES = 16


class Voucher(msgspec.Struct, frozen=True, array_like=True):
    """`number` 0: the process is the cluster's. `keys` None: no session. `socket`: its client's inode."""

    process_id: int
    cluster: str
    number: int = 0
    keys: tuple[int, int] | None = None
    socket: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Voucher).decode


class Vouchers:
    """Seals and opens them with `secret`."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def seal(self, voucher: Voucher) -> bytes:
        """Return a voucher to give away."""
        body = _encode(voucher)
        return self._seal(body) + body

    def open(self, sealed: bytes, process_id: int) -> Voucher | None:
        """Return what a process was given by this, None if it was not."""
        seal, body = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(body)):
            return None
        voucher = _decode(body)
        return voucher if voucher.process_id == process_id else None

    def _seal(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, "sha256")[:_SEAL_BYTES]
