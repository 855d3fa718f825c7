from dsql.tls.schedule import SUITES, hkdf_expand_label, next_traffic_secret, traffic_key


def test_key_and_iv_are_those_of_rfc_8448():
    """Section 3, "derive write traffic keys for handshake data" of the server."""
    secret = bytes.fromhex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
    key, iv = traffic_key(secret, SUITES["TLS_AES_128_GCM_SHA256"])
    assert key.hex() == "3fce516009c21727d0f2e4e86ee403bc"
    assert iv.hex() == "5d313eb2671276ee13000b30"


def test_the_finished_key_is_that_of_rfc_8448():
    secret = bytes.fromhex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
    key = hkdf_expand_label(secret, "finished", b"", 32, "sha256")
    assert key.hex() == "008d3b66f816ea559f96b537e885c31fc068bf492c652f01f288a1d8cdc19fc8"


def test_the_next_secret_has_the_length_of_the_hash():
    for suite in SUITES.values():
        secret = bytes(suite.hash_bytes)
        following = next_traffic_secret(secret, suite)
        assert len(following) == suite.hash_bytes
        assert following != secret


def test_long_outputs_are_expanded_over_several_blocks():
    long = hkdf_expand_label(bytes(32), "x", b"", 80, "sha256")
    assert len(long) == 80
    assert len({long[:32], long[32:64]}) == 2
