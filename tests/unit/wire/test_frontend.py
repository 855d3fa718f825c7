import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.errors import FatalError, SqlError
from dsql.wire import client, frontend

PARSERS = [
    frontend.parse_startup,
    frontend.parse_query,
    frontend.parse_parse,
    frontend.parse_bind,
    frontend.parse_target,
    frontend.parse_execute,
    frontend.parse_copy_fail,
    frontend.parse_password,
    frontend.parse_empty,
]


def body(message: bytes) -> bytes:
    return message[5:]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PARSERS), st.binary(max_size=60))
def test_malformed_bodies_raise_nothing_but_sql_errors(parser, data):
    try:
        parser(data)
    except SqlError as error:
        if error.sqlstate not in ("08P01", "22021", "0A000"):
            raise


def test_the_special_startup_packets_are_told_apart():
    assert frontend.parse_startup(client.ssl_request()[4:]) == frontend.SslRequest()
    assert frontend.parse_startup(client.gssenc_request()[4:]) == frontend.GssEncRequest()
    cancel = frontend.parse_startup(client.cancel_request(7, 0xFFFFFFFE)[4:])
    assert cancel == frontend.CancelRequest(7, 0xFFFFFFFE)


def test_startup_parameters_and_protocol_options_are_kept_apart():
    packet = client.startup({"user": "admin", "_pq_.x": "1", "options": ""}, minor=2)
    start = frontend.parse_startup(packet[4:])
    assert start == frontend.StartupMessage(2, {"user": "admin", "options": ""}, ("_pq_.x",))


def test_a_long_name_of_a_user_is_cut_where_the_roles_name_was():
    packet = client.startup({"user": "x" * 70, "database": "é" * 40, "options": "y" * 70})
    parameters = frontend.parse_startup(packet[4:]).parameters
    assert parameters == {"user": "x" * 63, "database": "é" * 31, "options": "y" * 70}


@pytest.mark.parametrize(
    "data",
    [b"\0\x03\0\0", b"\0\x03\0\0user\0admin\0", b"\0\x03\0\0user\0", b"\0\x03\0\0\0user\0a\0"],
)
def test_a_startup_packet_without_its_terminator_is_refused(data):
    with pytest.raises(FatalError, match="invalid startup packet layout"):
        frontend.parse_startup(data)


def test_another_major_protocol_version_is_refused():
    with pytest.raises(FatalError, match=r"unsupported frontend protocol 2\.0"):
        frontend.parse_startup(b"\0\x02\0\0\0")


def test_parse_gives_name_text_and_types():
    parsed = frontend.parse_parse(body(client.parse("SELECT $1", "s", [23])))
    assert parsed == frontend.Parse("s", "SELECT $1", (23,))


@given(
    st.lists(st.none() | st.binary(max_size=20), max_size=5),
    st.lists(st.integers(0, 1), max_size=3),
    st.lists(st.integers(0, 1), max_size=3),
)
@settings(max_examples=50, deadline=None)
def test_bind_gives_back_what_a_client_encodes(values, formats, result_formats):
    message = client.bind(
        values, statement="s", portal="p", formats=formats, result_formats=result_formats
    )
    bound = frontend.parse_bind(body(message))
    assert (bound.portal, bound.statement, bound.values) == (b"p", b"s", values)
    assert (bound.formats, bound.result_formats) == (tuple(formats), tuple(result_formats))


def test_every_truncated_bind_is_refused():
    whole = body(client.bind([b"12", None], formats=[0, 1], result_formats=[1]))
    for size in range(len(whole)):
        with pytest.raises(SqlError) as caught:
            frontend.parse_bind(whole[:size])
        assert caught.value.sqlstate == "08P01"
    with pytest.raises(SqlError, match="invalid message format"):
        frontend.parse_bind(whole + b"\0")


def test_execute_takes_a_negative_limit_for_none():
    assert frontend.parse_execute(b"p\0\xff\xff\xff\xff") == frontend.Execute(b"p", 0)


def test_text_that_is_not_utf8_is_refused_as_postgresql_does():
    with pytest.raises(SqlError) as caught:
        frontend.parse_query(b"SELECT '\xe4'\0")
    assert caught.value.sqlstate == "22021"
    assert caught.value.message == 'invalid byte sequence for encoding "UTF8": 0xe4 0x27'
