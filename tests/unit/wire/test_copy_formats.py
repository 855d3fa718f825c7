import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dsql.errors import SqlError
from dsql.wire.copy_binary import SIGNATURE, BinaryDecoder, BinaryEncoder
from dsql.wire.copy_csv import CsvDecoder, CsvEncoder
from dsql.wire.copy_options import CopyOptions, parse_options
from dsql.wire.copy_text import TextDecoder, TextEncoder

COLUMNS = ["a", "b"]
FIELD = st.none() | st.lists(
    st.sampled_from([b"x", b"\\", b"\t", b"\n", b"\r", b'"', b",", b"'", b"N", b".", b"\xc3\xa9"])
).map(b"".join)
ROWS = st.lists(st.tuples(FIELD, FIELD).map(list), max_size=4)


def decode(decoder, data: bytes, cuts=()):
    rows, at = [], 0
    for cut in [*sorted(cuts), len(data)]:
        rows += decoder.feed(data[at:cut])
        at = max(at, cut)
    return rows + decoder.finish()


def options(reading=True, **pairs) -> CopyOptions:
    return parse_options(pairs.items(), reading=reading)


def make_decoder(form: str, chosen: CopyOptions):
    if form == "text":
        return TextDecoder(chosen, "t", COLUMNS)
    return CsvDecoder(chosen, "t", COLUMNS) if form == "csv" else BinaryDecoder("t", COLUMNS)


def make_encoder(form: str, chosen: CopyOptions):
    if form == "text":
        return TextEncoder(chosen, COLUMNS)
    return CsvEncoder(chosen, COLUMNS) if form == "csv" else BinaryEncoder()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["text", "csv", "binary"]),
    ROWS,
    st.lists(st.integers(0, 60), max_size=5),
    st.booleans(),
)
def test_what_copy_out_writes_copy_in_reads_however_it_is_cut(form, rows, cuts, odd):
    given_options = {"format": form}
    if odd and form == "csv":
        given_options |= {"quote": "'", "escape": "\\", "null": "N", "header": True}
    if odd and form == "text":
        given_options |= {"delimiter": ",", "null": "N", "header": "match"}
        # PostgreSQL's text format does not tell such a value from NULL either.
        assume(not any(value == b"N" for row in rows for value in row))
    chosen = options(**given_options)
    encoder = make_encoder(form, chosen)
    data = encoder.start() + b"".join(encoder.row(row) for row in rows) + encoder.finish()
    assert decode(make_decoder(form, chosen), data, cuts) == rows


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["text", "csv", "binary"]), st.binary(max_size=60), st.booleans())
def test_random_bytes_raise_nothing_but_sql_errors(form, data, signed):
    decoder = make_decoder(form, options(format=form))
    try:
        decode(decoder, (SIGNATURE if signed else b"") + data, [3, 17, 20])
    except SqlError as error:
        if error.sqlstate not in ("22P04",):
            raise


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"x", b"\t", b"\n", b"\r", b"\\", b".", b"N"]), max_size=40),
    st.lists(st.integers(0, 40), max_size=5),
)
def test_text_that_is_cut_in_bulk_gives_what_single_lines_give(pieces, cuts):
    data = b"1\t2\n" + b"".join(pieces)
    outcomes = []
    for plain in (TextDecoder._plain_rows, lambda _decoder, _data: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TextDecoder, "_plain_rows", plain)
            decoder = TextDecoder(options(), "t", COLUMNS)
            try:
                outcome = (decode(decoder, data, [4, *cuts]), decoder.line_number)
            except SqlError as error:
                outcome = (error.message, error.where)
            outcomes.append(outcome)
    assert outcomes[0] == outcomes[1]


def test_text_escapes_are_postgresqls():
    decoder = TextDecoder(options(), "t", COLUMNS)
    assert decode(decoder, b"\\x41\\102\\q\\t\t\\N\n\\\\N\t\\\n\n\\.\nignored") == [
        [b"ABq\t", None],
        [b"\\N", b"\n"],
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1\n", 'missing data for column "b"'),
        (b"1\t2\t3\n", "extra data after last expected column"),
    ],
)
def test_a_row_of_the_wrong_length_is_refused_with_its_line(line, message):
    decoder = TextDecoder(options(), "t", COLUMNS)
    with pytest.raises(SqlError, match=message) as caught:
        decode(decoder, b"1\t2\n" + line)
    assert caught.value.sqlstate == "22P04"
    assert caught.value.where == f'COPY t, line 2: "{line[:-1].decode()}"'


def test_csv_tells_null_from_an_empty_string_by_its_quotes():
    decoder = CsvDecoder(options(format="csv"), "t", COLUMNS)
    assert decode(decoder, b',""\r\n"a""b\r\nc",d"e"f\r\n') == [
        [None, b""],
        [b'a"b\r\nc', b"def"],
    ]


def test_csv_force_options_turn_nulls_around():
    chosen = options(format="csv", null="x", force_null=["a"], force_not_null=["b"])
    assert decode(CsvDecoder(chosen, "t", COLUMNS), b'"x",x\n') == [[None, b"x"]]
    out = CsvEncoder(options(False, format="csv", force_quote="*", header=True), COLUMNS)
    assert out.start() + out.row([b"1", None]) == b'a,b\n"1",\n'


def test_an_open_quote_at_the_end_is_refused():
    with pytest.raises(SqlError, match="unterminated CSV quoted field"):
        decode(CsvDecoder(options(format="csv"), "t", COLUMNS), b'1,"2\n3')


def test_a_header_that_must_match_is_compared():
    with pytest.raises(SqlError, match='field 2: got "c", expected "b"'):
        decode(TextDecoder(options(header="match"), "t", COLUMNS), b"a\tc\n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PGCOPY!", "COPY file signature not recognized"),
        (SIGNATURE + bytes(8) + b"\0\1", "row field count is 1, expected 2"),
        (SIGNATURE + bytes(8) + b"\0\2\0", "unexpected EOF in COPY data"),
        (SIGNATURE + bytes(8) + b"\xff\xff\0", "received copy data after EOF marker"),
        (SIGNATURE + b"\0\1\0\0" + bytes(4), r"invalid COPY file header \(WITH OIDS\)"),
    ],
)
def test_broken_binary_data_is_refused(data, message):
    with pytest.raises(SqlError, match=message) as caught:
        decode(BinaryDecoder("t", COLUMNS), data)
    assert caught.value.sqlstate == "22P04"


@pytest.mark.parametrize(
    ("pairs", "reading", "sqlstate", "message"),
    [
        ([("format", "xml")], True, "22023", 'COPY format "xml" not recognized'),
        ([("oops", None)], True, "42601", 'option "oops" not recognized'),
        ([("null", "a"), ("null", "b")], True, "42601", "conflicting or redundant options"),
        ([("delimiter", "ab")], True, "0A000", "COPY delimiter must be a single one-byte char"),
        ([("delimiter", "a")], True, "22023", 'COPY delimiter cannot be "a"'),
        ([("quote", "'")], True, "0A000", "COPY quote available only in CSV mode"),
        (
            [("format", "csv"), ("force_quote", "*")],
            True,
            "0A000",
            "COPY force quote only available using COPY TO",
        ),
        (
            [("format", "csv"), ("force_null", ["a"])],
            False,
            "0A000",
            "COPY force null only available using COPY FROM",
        ),
        ([("format", "binary"), ("null", "")], True, "42601", "cannot specify NULL in BINARY"),
        ([("header", "maybe")], True, "42601", 'header requires a Boolean value or "match"'),
    ],
)
def test_options_are_refused_as_postgresql_does(pairs, reading, sqlstate, message):
    with pytest.raises(SqlError, match=message) as caught:
        parse_options(pairs, reading=reading)
    assert caught.value.sqlstate == sqlstate
