"""Temporary credentials that nobody keeps: the session token holds them, sealed.

    token = "dsql1." + base64url(nonce, AES-256-GCM(JSON of the claims))

Whoever has the seal (relays, the control plane) opens a token and finds secret, principal, times and policy
in it, so that a session costs no memory and no write, and is known on every host that has `iam.json`. What
ends sessions early is asked of the role, with each use.
"""

from __future__ import annotations

import base64
import binascii
import secrets

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dsql.control.identities import new_secret, new_session_key_id

SEAL_BYTES = 32
TOKEN_CHARACTERS_MAX = 8_192
_PREFIX = "dsql1."
_NONCE_BYTES = 12


class Claims(msgspec.Struct, frozen=True, array_like=True):
    """What a token says. `owner` is the role's ARN, `owner_id` its id; times in seconds since 1970.

    `policy` is the JSON of the policy that narrows the session, "" for none.
    """

    access_key_id: str
    secret_access_key: str
    owner: str
    owner_id: str
    session: str
    issued_at: float
    expires_at: float
    policy: str = ""

    @property
    def principal(self) -> str:
        """The session's ARN."""
        role = self.owner.replace(":iam:", ":sts:", 1).replace(":role/", ":assumed-role/", 1)
        return f"{role}/{self.session}"


_decode = msgspec.json.Decoder(Claims).decode


def new_claims(
    owner: str, owner_id: str, session: str, issued_at: float, expires_at: float, policy: str = ""
) -> Claims:
    """Return the claims of a new session, with fresh keys."""
    key, secret = new_session_key_id(), new_secret()
    return Claims(key, secret, owner, owner_id, session, issued_at, expires_at, policy)


def new_seal() -> str:
    """Return a fresh seal, as base64."""
    return base64.b64encode(secrets.token_bytes(SEAL_BYTES)).decode()


def seal_token(seal: str, claims: Claims) -> str:
    """Return the token of a session."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = AESGCM(base64.b64decode(seal)).encrypt(nonce, msgspec.json.encode(claims), None)
    return _PREFIX + base64.urlsafe_b64encode(nonce + sealed).decode()


def open_token(seal: str, token: str) -> Claims | None:
    """Return what a token says, None if it was not sealed here."""
    if not seal or not token.startswith(_PREFIX) or len(token) > TOKEN_CHARACTERS_MAX:
        return None
    try:
        raw = base64.b64decode(token[len(_PREFIX) :].encode(), altchars=b"-_", validate=True)
        if _PREFIX + base64.urlsafe_b64encode(raw).decode() != token:
            return None  # base64 has several spellings of some bytes
        text = AESGCM(base64.b64decode(seal)).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], None)
        return _decode(text)
    except (ValueError, InvalidTag, binascii.Error, msgspec.DecodeError):
        return None
