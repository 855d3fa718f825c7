"""The page and what belongs to it, as they are shown: from memory, compressed, under strict headers.

They are built from `console/` (`make console`) and ship with the package. The page may load nothing from
elsewhere, run no script that is not a file of ours, and be shown in no other page.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import secrets
from importlib import resources
from typing import NamedTuple

from control_plane.messages import HttpAnswer, HttpRequest

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PAGE = "index.html"
_NONCE = b"{{nonce}}"  # for the styles that the editor makes
_REGION = b"{{region}}"  # for which a sign-in is signed
SECURITY_HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Asset(NamedTuple):
    """One file: what it is, and its bytes, plain and compressed."""

    content_type: str
    plain: bytes
    compressed: bytes
    tag: str


class Pages:
    """All files, read once."""

    def __init__(self, region: str) -> None:
        self._region = html.escape(region)
        folder = resources.files("control_plane.console") / "assets"
        self._assets = {
            file.name: _read(content_type, file.read_bytes())
            for file in folder.iterdir()
            if (content_type := _TYPES.get(file.name[file.name.rfind(".") :])) is not None
        }

    def page(self) -> HttpAnswer:
        """Return the page itself, made for one visit."""
        nonce = secrets.token_urlsafe(16)
        body = self._assets[_PAGE].plain.replace(_NONCE, nonce.encode())
        body = body.replace(_REGION, self._region.encode())
        headers = SECURITY_HEADERS | {
            "Content-Type": _TYPES[".html"],
            "Cache-Control": "no-store",
            "Content-Security-Policy": _POLICY.format(nonce=nonce),
        }
        return HttpAnswer(200, headers, body)

    def asset(self, name: str, request: HttpRequest) -> HttpAnswer:
        """Return a file by its name, or that it is still the one that the browser has."""
        asset = self._assets.get(name)
        if asset is None or name == _PAGE:
            return HttpAnswer(404, SECURITY_HEADERS | {"Content-Type": "text/plain"}, b"not found")
        headers = SECURITY_HEADERS | {
            "Content-Type": asset.content_type,
            "Cache-Control": "no-cache",
            "ETag": asset.tag,
            "Vary": "Accept-Encoding",
            "Content-Security-Policy": "default-src 'none'",
        }
        if request.headers.get("if-none-match") == asset.tag:
            return HttpAnswer(304, headers, b"")
        if "gzip" in request.headers.get("accept-encoding", ""):
            return HttpAnswer(200, headers | {"Content-Encoding": "gzip"}, asset.compressed)
        return HttpAnswer(200, headers, asset.plain)


def _read(content_type: str, content: bytes) -> Asset:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(content_type, content, gzip.compress(content, mtime=0), tag)
