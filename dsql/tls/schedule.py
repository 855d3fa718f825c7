"""The part of TLS 1.3's key schedule that is needed after the handshake (RFC 8446, sections 7.1 to 7.3)."""

from __future__ import annotations

import hmac

import msgspec


class CipherSuite(msgspec.Struct, frozen=True):
    """What a cipher suite fixes: the AEAD's name and key length, and the hash of the key schedule."""

    aead: str
    key_bytes: int
    hash_name: str
    hash_bytes: int


SUITES = {
    "TLS_AES_128_GCM_SHA256": CipherSuite("AES-GCM", 16, "sha256", 32),
    "TLS_AES_256_GCM_SHA384": CipherSuite("AES-GCM", 32, "sha384", 48),
    "TLS_CHACHA20_POLY1305_SHA256": CipherSuite("ChaCha20-Poly1305", 32, "sha256", 32),
}

IV_BYTES = 12


def hkdf_expand_label(
    secret: bytes, label: str, context: bytes, length: int, hash_name: str
) -> bytes:
    """Return `length` bytes of HKDF-Expand-Label(secret, label, context)."""
    full_label = b"tls13 " + label.encode()
    info = b"".join(
        (
            length.to_bytes(2, "big"),
            len(full_label).to_bytes(1, "big"),
            full_label,
            len(context).to_bytes(1, "big"),
            context,
        )
    )
    output = block = b""
    counter = 1
    while len(output) < length:
        block = hmac.digest(secret, block + info + bytes([counter]), hash_name)
        output += block
        counter += 1
    return output[:length]


def traffic_key(secret: bytes, suite: CipherSuite) -> tuple[bytes, bytes]:
    """Return the record protection key and IV of a traffic secret."""
    key = hkdf_expand_label(secret, "key", b"", suite.key_bytes, suite.hash_name)
    iv = hkdf_expand_label(secret, "iv", b"", IV_BYTES, suite.hash_name)
    return key, iv


def next_traffic_secret(secret: bytes, suite: CipherSuite) -> bytes:
    """Return the traffic secret that a KeyUpdate moves on to."""
    return hkdf_expand_label(secret, "traffic upd", b"", suite.hash_bytes, suite.hash_name)
