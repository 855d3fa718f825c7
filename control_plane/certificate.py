"""The API's own certificate: for the names by which it is reached, and renewed before it ends."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl

from dsql.control.authority import LOCAL_NAMES, Authority, CertificateFiles
from dsql.control.layout import Layout


class ApiCertificate:
    """`context` is what new connections are shown; it stays the same over renewals."""

    def __init__(self, layout: Layout, authority: Authority, host: str, region: str) -> None:
        """Raises OSError."""
        names = [*LOCAL_NAMES, f"dsql.{region}.api.aws"]
        names += [name for name in (_name_of(host),) if name not in names]
        self._authority = authority
        self._files = CertificateFiles(names, layout.control_certificate, layout.control_key)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._authority.ensure(self._files, _now())
        self._load()

    def renew(self) -> None:
        """Make another one if this one ends soon. Raises OSError."""
        if self._authority.ensure(self._files, _now()):
            self._load()

    def _load(self) -> None:
        self.context.load_cert_chain(self._files.certificate, self._files.key)


def reachable(host: str) -> str:
    """Return an address to connect to for one that is listened on, in brackets where a URL wants that."""
    if is_everywhere(host):
        host = "127.0.0.1" if ":" not in host else "::1"
    return f"[{host}]" if ":" in host else host


def is_everywhere(host: str) -> bool:
    """Return whether it stands for all addresses of this host."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _name_of(host: str) -> str:
    return socket.gethostname() if is_everywhere(host) else host


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
