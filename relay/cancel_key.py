"""Keys of cancellation (BackendKeyData) that a relay recognises without asking anybody.

    secret key, 32 bits = 12 random bits | 20 bits of HMAC(installation's secret, process id | random bits)

A CancelRequest comes without TLS and without a password, from anybody. One whose key was never given out
is thrown away here at the price of one hash; one that passes goes on to the session's agent, which compares
all 32 bits. The secret is a file that all relays of an installation share, because any of them may be
asked to cancel, also after a restart.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

_CODE_BITS = 20
_RANDOM_BITS = 12
_SECRET_BYTES = 32


class CancelKeys:
    """Makes and recognises secret keys with the secret in the file `path`, made when it is missing."""

    def __init__(self, path: Path) -> None:
        self._secret = _read_or_make(path)

    def make(self, process_id: int) -> int:
        """Return a new secret key for a session, an unsigned 32-bit number."""
        return self._key(process_id, secrets.randbits(_RANDOM_BITS))

    def knows(self, process_id: int, secret_key: int) -> bool:
        """Return whether this key may have been made for this process id; one in a million others may."""
        expected = self._key(process_id, secret_key >> _CODE_BITS)
        return hmac.compare_digest(expected.to_bytes(4, "big"), secret_key.to_bytes(4, "big"))

    def _key(self, process_id: int, chance: int) -> int:
        text = process_id.to_bytes(4, "big") + chance.to_bytes(2, "big")
        code = int.from_bytes(hmac.digest(self._secret, text, "sha256")[:4], "big")
        return chance << _CODE_BITS | code >> (32 - _CODE_BITS)


def _read_or_make(path: Path) -> bytes:
    """Return the file's content; of relays that start together one makes it, for its owner only."""
    if not path.exists():
        scratch = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
        try:
            path.hardlink_to(scratch)
        except FileExistsError:
            pass  # another relay was first
        finally:
            scratch.unlink()
    return path.read_bytes()
