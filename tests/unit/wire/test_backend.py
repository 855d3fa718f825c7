from dataclasses import dataclass

from dsql.errors import FatalError, SqlError
from dsql.wire import backend, client


@dataclass
class Field:
    name: str
    type_oid: int
    typmod: int = -1
    table_oid: int = 0
    number: int = 0


def only(data: bytes) -> tuple[str, bytes]:
    answers, rest = client.split_answers(data)
    assert rest == b""
    assert len(answers) == 1
    return answers[0]


def test_a_data_row_carries_values_and_nulls():
    out = bytearray(b"before")
    backend.data_row(out, [b"1", None, b""])
    kind, body = only(bytes(out[6:]))
    assert kind == "D"
    assert client.row_values(body) == [b"1", None, b""]


def test_a_row_description_has_every_field():
    data = backend.row_description([Field("é", 23, -1, 16400, 2)], [4], [1])
    kind, body = only(data)
    assert kind == "T"
    assert body == "\0\1é\0".encode() + bytes.fromhex("0000401000020000001700 04ffffffff0001")


def test_an_error_response_has_postgresqls_fields_in_order():
    error = SqlError("23505", "duplicate", detail="Key", position=3, table="t", constraint="t_pkey")
    kind, body = only(backend.error_response(error))
    assert kind == "E"
    assert body == (b"SERROR\0VERROR\0C23505\0Mduplicate\0DKey\0P3\0tt\0nt_pkey\0\0")


def test_a_fatal_error_says_so_and_zero_bytes_do_not_end_a_field():
    fields = client.error_fields(only(backend.error_response(FatalError("08P01", "a\0b")))[1])
    assert fields == {"S": "FATAL", "V": "FATAL", "C": "08P01", "M": "a\\0b"}


def test_copy_responses_list_a_format_per_column():
    assert only(backend.copy_in_response(0, [0, 0])) == ("G", b"\0\0\2\0\0\0\0")
    assert only(backend.copy_out_response(1, [1])) == ("H", b"\1\0\1\0\1")
    out = bytearray()
    backend.copy_data(out, b"1\n")
    assert only(bytes(out)) == ("d", b"1\n")


def test_constants_are_whole_messages():
    for name in ("AUTHENTICATION_OK", "PARSE_COMPLETE", "NO_DATA", "READY_IDLE", "COPY_DONE"):
        only(getattr(backend, name))


def test_session_messages_are_framed():
    assert only(backend.parameter_status("TimeZone", "UTC")) == ("S", b"TimeZone\0UTC\0")
    assert only(backend.backend_key_data(1, 0xFFFFFFFF)) == ("K", b"\0\0\0\1\xff\xff\xff\xff")
    assert only(backend.negotiate_protocol_version(0, ["_pq_.x"])) == (
        "v",
        b"\0\3\0\0\0\0\0\1_pq_.x\0",
    )
    assert only(backend.parameter_description([23, 25])) == ("t", b"\0\2\0\0\0\x17\0\0\0\x19")
