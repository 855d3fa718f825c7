import asyncio
import datetime
import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509

from dsql.control import authority
from dsql.control.authority import Authority, RootDamagedError, ensure_certificates
from dsql.control.clusters import create_cluster
from dsql.control.layout import Layout

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def handshake(layout: Layout, certificate: Path, key: Path, name: str) -> None:
    """Run a verifying client against the certificate, in memory."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(certificate, key)
    client_context = ssl.create_default_context(cafile=str(layout.ca_certificate))
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_root_is_made_once(layout: Layout) -> None:
    Authority.open(layout)
    first = layout.ca_certificate.read_bytes()
    Authority.open(layout)
    assert layout.ca_certificate.read_bytes() == first


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def _change(path: Path) -> None:
    """Change a letter of the middle line; where that is a certificate's, it may parse as before."""
    lines = path.read_bytes().splitlines()
    middle = lines[len(lines) // 2]
    lines[len(lines) // 2] = (b"A" if middle[:1] != b"A" else b"B") + middle[1:]
    path.write_bytes(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize("damage", [_truncate, _change])
@pytest.mark.parametrize("part", ["certificate", "key"])
def test_damaged_certificate_or_key_is_made_anew(layout: Layout, part: str, damage) -> None:
    root = Authority.open(layout)
    record = create_cluster(layout, root)
    ensure_certificates(layout, root, NOW)
    pair = layout.certificate(record.identifier), layout.key(record.identifier)
    damage(pair[part == "key"])
    assert ensure_certificates(layout, root, NOW) == 1
    handshake(layout, *pair, record.endpoint)
    assert ensure_certificates(layout, root, NOW) == 0


@pytest.mark.parametrize("damage", [_truncate, _change])
@pytest.mark.parametrize("part", ["ca_certificate", "ca_key"])
def test_damaged_root_is_told_and_not_made_anew(layout: Layout, part: str, damage) -> None:
    Authority.open(layout)
    damage(getattr(layout, part))
    left = getattr(layout, part).read_bytes()
    with pytest.raises(RootDamagedError, match="put both back from a backup"):
        Authority.open(layout)
    assert getattr(layout, part).read_bytes() == left


def test_private_keys_are_readable_by_the_owner_only(layout: Layout) -> None:
    record = create_cluster(layout, Authority.open(layout))
    for path in (layout.ca_key, layout.key(record.identifier)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_strict_client_accepts_a_cluster_certificate_under_its_endpoint_only(
    layout: Layout,
) -> None:
    record = create_cluster(layout, Authority.open(layout))
    pair = layout.certificate(record.identifier), layout.key(record.identifier)
    handshake(layout, *pair, record.endpoint)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(layout, *pair, "other.dsql.us-east-1.on.aws")


def test_certificates_are_renewed_only_when_a_third_of_their_life_is_left(layout: Layout) -> None:
    authority = Authority.open(layout)
    record = create_cluster(layout, authority)
    assert ensure_certificates(layout, authority, NOW) == 2  # the relays' own, and the hosts'
    assert ensure_certificates(layout, authority, NOW + datetime.timedelta(days=59)) == 0
    later = NOW + datetime.timedelta(days=61)
    assert ensure_certificates(layout, authority, later) == 3
    text = layout.certificate(record.identifier).read_bytes()
    renewed = x509.load_pem_x509_certificate(text)
    assert renewed.not_valid_after_utc > later + datetime.timedelta(days=89)


async def test_renewal_goes_on_after_a_disk_was_full(layout: Layout, monkeypatch) -> None:
    renewed = asyncio.Event()
    attempts = iter([OSError(28, "No space left on device"), None])

    def ensure(*_: object) -> int:
        if (failure := next(attempts)) is not None:
            raise failure
        renewed.set()
        return 1

    monkeypatch.setattr(authority, "ensure_certificates", ensure)
    monkeypatch.setattr(authority, "RENEWAL_CHECK_SECONDS", 0.01)
    task = asyncio.create_task(authority.keep_fresh(layout, Authority.open(layout)))
    await asyncio.wait_for(renewed.wait(), 5)
    task.cancel()
