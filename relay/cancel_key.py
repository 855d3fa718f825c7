"""Keys of cancellation (BackendKeyData) that a relay recognises without asking anybody.

    secret key, 32 bits = 12 random bits | 20 bits of HMAC(installation's secret, process id | random bits)

A CancelRequest comes without TLS and without a password, from anybody. One whose key was never given out
is thrown away here at the price of one hash; one that passes goes on to the session's agent, which compares
all 32 bits. The secret is a file that all relays of an installation share, because any of them may be
asked to cancel, also after a restart.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from dsql.control.secret_file import read_or_make

_CODE_BITS = 20
_RANDOM_BITS = 12


class CancelKeys:
    """Makes and recognises secret keys with the secret in the file `path`, made when it is missing."""

    def __init__(self, path: Path) -> None:
        self._secret = read_or_make(path)

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
