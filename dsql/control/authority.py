"""The installation's own certificate authority: one root, one server certificate per cluster.

Another certificate is that by which the installation's hosts know each other (`dsql.rpc.link`). The root is
made once, when the data directory is set up. Clients trust it through
`sslrootcert=ca/ca.pem sslmode=verify-full`. The other certificates live a quarter of a year and are made
again, with a new key, when a third of that is left, or their files are damaged; `keep_fresh` is the loop
that does so, and relays notice the new files by themselves. The root's key is needed only here: relays
never read `ca.key`. Nothing makes the root anew, because clients trust the old one.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from dsql.control.atomic_file import PRIVATE, write_atomically
from dsql.control.layout import Layout
from dsql.rpc.link import LINK_NAME

_log = logging.getLogger(__name__)

ROOT_LIFETIME = datetime.timedelta(days=3650)
SERVER_LIFETIME = datetime.timedelta(days=90)
RENEWAL_MARGIN = SERVER_LIFETIME / 3
CLOCK_ALLOWANCE = datetime.timedelta(hours=1)  # a client's clock may be a little behind ours
RENEWAL_CHECK_SECONDS = 3600.0
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_BOTH_ENDS = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
COMMON_NAME_CHARACTERS_MAX = 64  # ub-common-name of RFC 5280


class CertificateFiles(NamedTuple):
    """A certificate and its key as files: for whom, a list of DNS names and IP addresses, and for what."""

    names: Sequence[str]
    certificate: Path
    key: Path
    uses: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,)


class RootDamagedError(Exception):
    """The root's key or certificate is not what it was, in a sentence that says what to do."""


class Authority:
    """Signs server certificates with the root of one data directory."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def open(cls, layout: Layout) -> Authority:
        """Read the root, or make it if the data directory has none. Raises RootDamagedError."""
        if not layout.ca_key.exists():
            _create_root(layout)
        pair = _read_pair(layout.ca_certificate, layout.ca_key)
        if pair is None or not _is_signed_by(pair[0], pair[0]):
            raise RootDamagedError(
                f"{layout.ca_certificate} or {layout.ca_key} is damaged: put both back from a backup, or "
                "remove both, and give every client the new ca.pem"
            )
        return cls(*pair)

    def issue(self, files: CertificateFiles, now: datetime.datetime) -> None:
        """Write a new key and certificate.

        The key is written first: a reader between the two writes finds a pair that does not match,
        keeps what it had, and looks again.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_common_name(files.names[0]), self._certificate.subject, now, SERVER_LIFETIME)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(map(_alternative, files.names)), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
            .add_extension(_key_usage(signs_certificates=False), True)
            .add_extension(x509.ExtendedKeyUsage(files.uses), False)
            .add_extension(_authority_identifier(self._key), False)
            .sign(self._key, hashes.SHA256())
        )
        files.certificate.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(files.key, _key_pem(key), PRIVATE)
        write_atomically(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))

    def ensure(self, files: CertificateFiles, now: datetime.datetime) -> bool:
        """Issue unless there is a sound certificate for these names that lasts; return whether one was."""
        if files.key.exists() and files.certificate.exists():
            pair = _read_pair(files.certificate, files.key)
            if pair is None or not _is_signed_by(pair[0], self._certificate):
                _log.error("%s or its key is damaged: made anew", files.certificate)
            elif pair[0].not_valid_after_utc - now > RENEWAL_MARGIN and _names_of(pair[0]) == list(
                files.names
            ):
                return False
        self.issue(files, now)
        return True


def ensure_certificates(layout: Layout, authority: Authority, now: datetime.datetime) -> int:
    """Make or renew the certificates of relays, hosts and every cluster; return how many were made."""
    link = layout.link
    wanted = [
        CertificateFiles(LOCAL_NAMES, layout.relay_certificate, layout.relay_key),
        CertificateFiles([LINK_NAME], link.certificate, link.key, _BOTH_ENDS),
    ]
    for identifier in layout.cluster_identifiers():
        record = layout.read_cluster(identifier)
        if record is not None:
            wanted.append(cluster_certificate(layout, identifier, record.endpoint))
    return sum(authority.ensure(files, now) for files in wanted)


def cluster_certificate(layout: Layout, identifier: str, *names: str) -> CertificateFiles:
    """Return the files of a cluster's certificate for `names`."""
    return CertificateFiles(names, layout.certificate(identifier), layout.key(identifier))


async def keep_fresh(layout: Layout, authority: Authority) -> None:
    """Renew certificates before they end, until cancelled."""
    while True:
        try:
            made = ensure_certificates(layout, authority, datetime.datetime.now(datetime.UTC))
        except OSError as error:  # a full disk, say: a month is left to try again
            _log.error("certificates were not renewed: %s", error)
        else:
            _log.log(logging.INFO if made else logging.DEBUG, "made %d certificates", made)
        await asyncio.sleep(RENEWAL_CHECK_SECONDS)


def _read_pair(
    certificate: Path, key: Path
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """Return a certificate and its key; None if either cannot be read, or they do not belong together."""
    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
        secret = serialization.load_pem_private_key(key.read_bytes(), password=None)
        public = read.public_key()
    except (FileNotFoundError, ValueError, TypeError, UnsupportedAlgorithm):
        return None
    matches = isinstance(secret, ec.EllipticCurvePrivateKey) and secret.public_key() == public
    return (read, secret) if matches else None  # type: ignore[return-value]


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether nothing of a certificate has changed since it was signed."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names_of(certificate: x509.Certificate) -> list[str]:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def _create_root(layout: Layout) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _common_name(f"dsql local authority {os.urandom(4).hex()}")
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        _builder(name, name, now, ROOT_LIFETIME)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(_key_usage(signs_certificates=True), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    layout.ca_key.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
    # The key comes last: its presence says that the root is complete.
    write_atomically(layout.ca_certificate, certificate.public_bytes(serialization.Encoding.PEM))
    write_atomically(layout.ca_key, _key_pem(key), PRIVATE)


def _builder(
    subject: x509.Name, issuer: x509.Name, now: datetime.datetime, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_ALLOWANCE)
        .not_valid_after(now + lifetime)
    )


def _common_name(text: str) -> x509.Name:
    shown = text[:COMMON_NAME_CHARACTERS_MAX]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, shown)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_identifier(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
