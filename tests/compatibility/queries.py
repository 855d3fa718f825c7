"""Queries of tools. Each is a test, which passes if its rows are PostgreSQL's, but for OIDs and order."""

from __future__ import annotations

import difflib
import json
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from compatibility.results import Results
from compatibility.servers import Variables
from compatibility.sources import Place
from compatibility.tools import make_objects
from psycopg.conninfo import make_conninfo
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGconn

HERE = Path(__file__).parent
_SECONDS_MAX = 30
_LINES_MAX = 8  # of a difference
_NUMBER = re.compile(r"\b\d{5,}\b")  # an OID, a transaction's, bytes
_OWNER = re.compile(r"\b(postgres|admin)\b")
_PARAMETERS = {
    "PGHOST": "host",
    "PGHOSTADDR": "hostaddr",
    "PGPORT": "port",
    "PGUSER": "user",
    "PGDATABASE": "dbname",
    "PGPASSWORD": "password",
    "PGSSLMODE": "sslmode",
    "PGSSLROOTCERT": "sslrootcert",
}
_TABLE = "'shop.orders'::regclass::oid::text"
_CONSTRAINT = "(select oid::text from pg_constraint where conname = '{}')"
FOLDER = {  # what pgAdmin knows when a folder of its tree is opened, as its templates name it
    "did": "(select oid::text from pg_database where datname = current_database())",
    "scid": "'shop'::regnamespace::oid::text",
    "datlastsysoid": "'16383'",
}
OBJECT = FOLDER | {  # and what it knows of one object
    **dict.fromkeys(("tid", "table_id", "table_oid", "tableid", "obj_id", "object_id"), _TABLE),
    **dict.fromkeys(("schema", "schema_name", "nspname"), "'shop'"),
    **dict.fromkeys(("table", "name", "table_name", "relname", "data.name"), "'orders'"),
    "clid": "'2'",
    "idx": "'shop.orders_part'::regclass::oid::text",
    "cid": _CONSTRAINT.format("orders_pk"),
    "fkid": _CONSTRAINT.format("orders_item_fk"),
    "coid": _CONSTRAINT.format("positive_check"),
    "doid": "'shop.positive'::regtype::oid::text",
    "fnid": "'shop.add'::regproc::oid::text",
    "seid": "'shop.counter'::regclass::oid::text",
    "vid": "'shop.totals'::regclass::oid::text",
    "rid": "(select oid::text from pg_roles where rolname = 'app_reader')",
    "constraint_type": "'p'",
}

Ask = Callable[[str], list[list[str]]]


@dataclass
class Queries:
    """`texts(ask)` returns a side's queries by name: they hold its OIDs, for which it may ask."""

    texts: Callable[[Ask], Mapping[str, str]]
    _expected: dict[str, list[str]] = field(default_factory=dict)

    def run(self, variables: Variables, side: str) -> Results:
        """Ask all of them. What PostgreSQL refuses is not counted."""
        make_objects(variables)
        given = {name: variables[key] for key, name in _PARAMETERS.items() if key in variables}
        with psycopg.connect(make_conninfo("", **given)) as connection:
            wire = connection.pgconn
            wire.exec_(f"SET statement_timeout = '{_SECONDS_MAX}s'".encode())
            return {
                name: self._judged(name, wire, text, side)
                for name, text in self.texts(lambda query: _rows(wire, query)).items()
            }

    def _judged(self, name: str, wire: PGconn, text: str, side: str) -> str | None:
        try:
            answer = ["|".join(row) for row in _rows(wire, text)]
        except psycopg.DatabaseError as error:
            return str(error)
        lines = sorted(_NUMBER.sub("N", _OWNER.sub("OWNER", line)) for line in answer)
        if side == "postgresql":
            self._expected[name] = lines
        expected = self._expected.get(name, [])
        found = difflib.unified_diff(expected, lines, lineterm="", n=0)
        return "\n".join([line for line in found if line[:2] != "@@"][2:_LINES_MAX]) or None


def _rows(wire: PGconn, text: str) -> list[list[str]]:
    result = wire.exec_(text.encode())
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        code = result.error_field(DiagnosticField.SQLSTATE) or b""
        raise psycopg.DatabaseError(f"Error {code.decode()}: {result.error_message.decode()}")
    return [
        [(result.get_value(row, column) or b"").decode() for column in range(result.nfields)]
        for row in range(result.ntuples)
    ]


def _values(ask: Ask, expressions: Mapping[str, str]) -> dict[str, str]:
    (row,) = ask("SELECT " + ", ".join(expressions.values()))
    return dict(zip(expressions, row, strict=True))


def pgadmin(place: Place, revision: str, version: int) -> Queries:
    """Return pgAdmin's, as it renders them for a server of a version."""
    tree = place.checkout("pgadmin-org/pgadmin4", revision)
    python = place.python("jinja2")

    def texts(ask: Ask) -> dict[str, str]:
        queries: dict[str, str] = {}
        for kind, expressions in (("folder", FOLDER), ("object", OBJECT)):
            command = [python, HERE / "shims" / "render_pgadmin.py", tree, str(version)]
            values = json.dumps(_values(ask, expressions))
            done = subprocess.run(command, input=values, capture_output=True, text=True, check=True)
            queries |= {f"{kind} {name}": text for name, text in json.loads(done.stdout).items()}
        return queries

    return Queries(texts)
