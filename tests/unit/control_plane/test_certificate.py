from pathlib import Path

from cryptography import x509

from control_plane.certificate import ApiCertificate, reachable
from dsql.control.authority import Authority
from dsql.control.layout import Layout


def names(layout: Layout) -> list[str]:
    certificate = x509.load_pem_x509_certificate(layout.control_certificate.read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in found]


def test_it_is_for_the_names_by_which_the_api_is_reached(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    authority = Authority.open(layout)
    made = ApiCertificate(layout, authority, "127.0.0.1", "us-east-1")
    local = ["localhost", "127.0.0.1", "::1", "dsql.us-east-1.api.aws"]
    assert names(layout) == local
    before = layout.control_certificate.read_bytes()
    made.renew()
    ApiCertificate(layout, authority, "127.0.0.1", "us-east-1")
    assert layout.control_certificate.read_bytes() == before
    ApiCertificate(layout, authority, "10.0.0.1", "us-east-1")
    assert names(layout) == [*local, "10.0.0.1"]


def test_a_url_names_what_can_be_connected_to() -> None:
    shown = [reachable(host) for host in ("0.0.0.0", "::", "10.0.0.1", "db.example", "::1")]
    assert shown == ["127.0.0.1", "[::1]", "10.0.0.1", "db.example", "[::1]"]
