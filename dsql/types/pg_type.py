"""Builds `Type` objects: what pg_type says of each built-in type joined with its formats.

FACTS has a line per type: OID, typname, typlen, typbyval, typcategory, typispreferred, typalign, typtype,
typelem, the OID of its array type. `define` joins a line with the Python functions and registers
the type and its array type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dsql.types import array, array_binary, array_text, registry
from dsql.types.type import Decode, Encode, FormatSettings, Type

FACTS = """
16 bool 1 t B t c b 0 1000
17 bytea -1 f U f i b 0 1001
18 char 1 t Z f c b 0 1002
19 name 64 f S f c b 18 1003
20 int8 8 t N f d b 0 1016
21 int2 2 t N f s b 0 1005
22 int2vector -1 f A f i b 21 1006
23 int4 4 t N f i b 0 1007
24 regproc 4 t N f i b 0 1008
25 text -1 f S t i b 0 1009
26 oid 4 t N t i b 0 1028
27 tid 6 f U f s b 0 1010
28 xid 4 t U f i b 0 1011
29 cid 4 t U f i b 0 1012
30 oidvector -1 f A f i b 26 1013
114 json -1 f U f i b 0 199
194 pg_node_tree -1 f Z f i b 0 0
650 cidr -1 f I f i b 0 651
700 float4 4 t N f i b 0 1021
701 float8 8 t N t d b 0 1022
705 unknown -2 f X f c p 0 0
774 macaddr8 8 f U f i b 0 775
790 money 8 t N f d b 0 791
829 macaddr 6 f U f i b 0 1040
869 inet -1 f I t i b 0 1041
1033 aclitem 16 f U f d b 0 1034
1042 bpchar -1 f S f i b 0 1014
1043 varchar -1 f S f i b 0 1015
1082 date 4 t D f i b 0 1182
1083 time 8 t D f d b 0 1183
1114 timestamp 8 t D f d b 0 1115
1184 timestamptz 8 t D t d b 0 1185
1186 interval 16 f T t d b 0 1187
1266 timetz 12 f D f d b 0 1270
1560 bit -1 f V f i b 0 1561
1562 varbit -1 f V t i b 0 1563
1700 numeric -1 f N f i b 0 1231
2202 regprocedure 4 t N f i b 0 2207
2203 regoper 4 t N f i b 0 2208
2204 regoperator 4 t N f i b 0 2209
2205 regclass 4 t N f i b 0 2210
2206 regtype 4 t N f i b 0 2211
2249 record -1 f P f d p 0 2287
2275 cstring -2 f P f c p 0 1263
2276 any 4 t P f i p 0 0
2277 anyarray -1 f P f d p 0 0
2278 void 4 t P f i p 0 0
2279 trigger 4 t P f i p 0 0
2281 internal 8 t P f d p 0 0
2283 anyelement 4 t P f i p 0 0
2776 anynonarray 4 t P f i p 0 0
2950 uuid 16 f U f c b 0 2951
2970 txid_snapshot -1 f U f d b 0 2949
3220 pg_lsn 8 t U f d b 0 3221
3500 anyenum 4 t P f i p 0 0
3831 anyrange -1 f P f d p 0 0
3838 event_trigger 4 t P f i p 0 0
3802 jsonb -1 f U f i b 0 3807
4072 jsonpath -1 f U f i b 0 4073
4089 regnamespace 4 t N f i b 0 4090
4096 regrole 4 t N f i b 0 4097
4191 regcollation 4 t N f i b 0 4192
4537 anymultirange -1 f P f d p 0 0
4538 anycompatiblemultirange -1 f P f d p 0 0
5038 pg_snapshot -1 f U f d b 0 5039
5069 xid8 8 t U f d b 0 271
5077 anycompatible 4 t P f i p 0 0
5078 anycompatiblearray -1 f P f d p 0 0
5079 anycompatiblenonarray 4 t P f i p 0 0
5080 anycompatiblerange -1 f P f d p 0 0
"""

SQL_NAMES = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "bool": "boolean",
    "float4": "real",
    "float8": "double precision",
    "varbit": "bit varying",
    "varchar": "character varying",
    "bpchar": "character",
    "char": '"char"',
    "any": '"any"',
    "time": "time without time zone",
    "timetz": "time with time zone",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}

_COLUMN_TYPES = """
int2 int4 int8 float4 float8 numeric bpchar varchar text bytea json jsonb date time timestamp
timestamptz timetz interval bool uuid
"""
COLUMN_TYPES = frozenset(_COLUMN_TYPES.split())
# Those that the postgres profile lets tables have too, most of them of the catalogs; some can be keys.
_POSTGRES_KEY_TYPES = frozenset(
    "name char oid regproc regprocedure regoper regoperator regclass regtype regrole regnamespace "
    "regcollation xid8 tid pg_lsn inet cidr macaddr macaddr8 money bit varbit oidvector".split()
)
_POSTGRES_COLUMN_TYPES = _POSTGRES_KEY_TYPES | frozenset(
    "xid cid int2vector pg_snapshot txid_snapshot".split()
)
KEY_TYPES = COLUMN_TYPES - {"bytea", "json", "jsonb", "timetz", "interval"} | _POSTGRES_KEY_TYPES

_lines = {line.split()[1]: line.split() for line in FACTS.strip().splitlines()}

Encoder = Callable[[FormatSettings], Encode]
Decoder = Callable[[FormatSettings], Decode]


def define(
    name: str,
    *,
    encode: Encode | None = None,
    decode: Decode | None = None,
    text_encoder: Encoder | None = None,
    text_decoder: Decoder | None = None,
    binary_encode: Encode,
    binary_decode: Decode,
    text_template: str = "",
    store_template: str = "",
    load_template: str = "",
    sort_key: Callable[[Any], Any] | None = None,
    hash_key: Callable[[Any], Any] | None = None,
) -> Type:
    """Register the built-in type `name` and its array type; return the type.

    Give `encode` and `decode` where the text format does not depend on settings, else the
    `text_encoder` and `text_decoder` that make them.
    """
    facts = _lines[name]
    oid, array_oid = int(facts[0]), int(facts[9])
    made = registry.register(
        Type(
            oid=oid,
            name=name,
            sql_name=SQL_NAMES.get(name, name),
            size=int(facts[2]),
            by_value=facts[3] == "t",
            category=facts[4],
            preferred=facts[5] == "t",
            align=facts[6],
            delimiter=",",
            text_encoder=text_encoder or _always(encode),
            text_decoder=text_decoder or _always(decode),
            binary_encode=binary_encode,
            binary_decode=binary_decode,
            text_template=text_template,
            store_template=store_template,
            load_template=load_template,
            sort_key=sort_key,
            hash_key=hash_key,
            element_oid=int(facts[8]),
            array_oid=array_oid,
            kind=facts[7],
            column_allowed=name in COLUMN_TYPES,
            column_of_postgres=name in _POSTGRES_COLUMN_TYPES,
            key_allowed=name in KEY_TYPES,
        )
    )
    if array_oid:
        registry.register(array_of(made))
    return made


def _always(function: Encode | Decode | None) -> Callable[[FormatSettings], Any]:
    assert function is not None
    return lambda _settings: function


def array_of(element: Type) -> Type:
    """Return the array type over `element`, values being lists (see dsql.types.type)."""
    return Type(
        oid=element.array_oid,
        name="_" + element.name,
        sql_name=element.sql_name + "[]",
        size=-1,
        by_value=False,
        category="P" if element.kind == "p" else "A",
        preferred=False,
        align="d" if element.align == "d" else "i",
        delimiter=",",
        text_encoder=lambda settings: array_text.text_encoder(element.text_encoder(settings)),
        text_decoder=lambda settings: array_text.text_decoder(element.text_decoder(settings)),
        binary_encode=array_binary.binary_encoder(element.oid, element.binary_encode),
        binary_decode=array_binary.binary_decoder(element.oid, element.binary_decode),
        store_template=_each("store", element.store_template),
        load_template=_each("load", element.load_template),
        sort_key=array.sort_key(element.sort_key),
        hash_key=array.hash_key(element.hash_key),
        element_oid=element.oid,
        kind="p" if element.kind == "p" else "b",
        column_allowed=False,
        key_allowed=False,
    )


def _each(way: str, template: str) -> str:
    """Return the template of arrays that turns them into what rows hold ("store"), or back ("load")."""
    if not template:
        return f"array_{way}({{0}})"
    return f"array_{way}_each({{0}}, lambda leaf: {template.format('leaf')})"
