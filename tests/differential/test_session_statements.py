"""Statements about a session itself, in scripts whose answers are compared with a real PostgreSQL's.

Each script runs three times: on PostgreSQL, in a session that stays, and in one that moves to another
process whenever it may.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from memory_server import Peer, Server, errors, letters, notices, rows, tags

from dsql.wire import client

SCRIPTS = {
    "prepare": """
        create table t (id int primary key, b text)
        prepare p as select 1
        execute p
        prepare p as select 2
        prepare q(int, text) as select $1 + 1 as a, $2 as b
        execute q(1, 'x')
        execute q(1 + 1, upper('x') || 'z')
        execute q(1.6, 7)
        execute q(1)
        execute q(1, 2, 3)
        execute q('abc', 'x')
        execute q(true, 'x')
        execute q(sum(1), 'x')
        execute q(generate_series(1, 2)::int, 'x')
        execute q(a, 'x')
        execute q($1, 'x')
        execute nope(1)
        prepare i(int, text) as insert into t values ($1, $2) returning *
        execute i(3, 'three')
        execute i(3, 'three')
        prepare u as update t set b = $2 where id = $1
        execute u(3, 'drei')
        prepare d as delete from t where id = $1
        execute d(3); execute d(3)
        prepare v as values (1, 2), (3, 4)
        execute v
        prepare e as select nope
        prepare e(nope) as select 1
        prepare e(int) as select $1 || $2
        prepare e as select $1
        explain execute nope
        explain execute u
        prepare c(varchar(3), numeric(5,2), text[]) as with x as (select 1 as d) select $1, $2, $3, d from x
        execute c('abcdef', 12345.678, '{a,b}')
        prepare "Weird ""Name" (int) as select $1
        execute "Weird ""Name"(3)
        select name, statement, parameter_types, from_sql from pg_prepared_statements order by name
        deallocate q
        deallocate q
        deallocate prepare p
        execute p
        begin
        prepare b as select 7
        rollback
        execute b
        begin
        select nope
        prepare f as select 1
        execute b
        deallocate b
        rollback
        deallocate all
        select count(*) from pg_prepared_statements
    """,
    "prepared statements and DDL": """
        create table t (id int primary key, b text)
        insert into t values (1, 'x')
        prepare m as select b from t
        prepare n as select * from t
        alter table t alter column b set default 'z'
        execute m
        alter table t add column c int
        execute m
        execute n
        drop table t
        execute m
    """,
    "catalogs that tools read": """
        create table t (id int primary key, b text, c int)
        create index t_b on t (b desc, c) include (id)
        select 'pg_catalog.array_in'::regproc, 'array_in'::regproc::oid
        select 'pg_catalog.array_in(cstring,oid,integer)'::regprocedure
        select 'postgres.s.t'::regclass
        select typname, typinput, typoutput, typreceive, typsend, typmodin, typmodout from pg_type \
            where typname in ('int4', '_int4', 'text', 'numeric', 'name', 'bpchar') order by 1
        select int4in('12'), int4out(7), numerictypmodout(655366), textsend('x'), date_in('2026-01-02')
        select (information_schema._pg_expandarray(array['a', 'b'])).*
        select * from information_schema._pg_expandarray(array[7, 8])
        select * from information_schema._pg_expandarray(array[[7, 8], [9, 10]])
        select r.seq, (r.keys).x, a.attname from (select i.indrelid, \
            (information_schema._pg_expandarray(i.indkey)).n as seq, \
            information_schema._pg_expandarray(i.indkey) as keys from pg_index i where indisprimary \
            and i.indrelid = 't'::regclass) r join pg_attribute a \
            on a.attrelid = r.indrelid and a.attnum = (r.keys).x
        select (r.nope).x from (select 1 as nope) r
        select word, catcode, barelabel, catdesc, baredesc from pg_get_keywords() \
            where word in ('select', 'abort', 'zone', 'table', 'between', 'authorization')
        select * from pg_options_to_table(array['a=1', 'b=x=y', 'c'])
        select name, utc_offset, is_dst from pg_timezone_names where name in ('UTC', 'Japan') order by 1
        select abbrev, utc_offset, is_dst from pg_timezone_abbrevs where abbrev in ('PDT', 'CET') order by 1
        select name, setting, unit, context, vartype, source, min_val, max_val, enumvals, boot_val \
            from pg_settings where name in ('max_identifier_length', 'row_security') order by 1
        select name, setting from pg_show_all_settings() where name = 'server_encoding'
        select relname, n_tup_ins from pg_stat_user_tables where relid = 't'::regclass
        select relname, indexrelname, idx_scan from pg_stat_user_indexes \
            where relid = 't'::regclass order by 2
        select relname from pg_statio_user_tables where relid = 't'::regclass
        select indkey, indnatts, indnkeyatts, indclass from pg_index where indrelid = 't'::regclass \
            order by 1
        select indkey[0], indkey[1], array_lower(indkey, 1) from pg_index where indrelid = 't'::regclass
        select pg_get_indexdef(indexrelid) from pg_index where indrelid = 't'::regclass order by 1
        select amname from pg_am join pg_class on relam = pg_am.oid where relname in ('t', 't_b') order by 1
        select a.attname from pg_attribute a where attrelid = 't_pkey'::regclass
        select opcname, opfname, opcdefault from pg_opclass c join pg_opfamily f on opcfamily = f.oid \
            where c.oid in (1978, 3126) order by 1
    """,
    "the session, its transaction, sizes": """
        create table t (id int primary key, b text)
        create index t_b on t (b)
        select pg_backend_pid() > 0, pg_backend_pid() = pg_backend_pid()
        begin
        select txid_current_if_assigned(), pg_current_xact_id_if_assigned()
        select txid_current() = txid_current(), txid_current() = pg_current_xact_id()::text::int8
        select txid_current_if_assigned() = txid_current()
        commit
        begin
        select txid_current_if_assigned()
        insert into t values (1, 'x')
        select txid_current_if_assigned() is not null
        commit
        select pg_typeof(pg_current_xact_id()), pg_typeof(txid_current())
        select pg_postmaster_start_time() <= now(), pg_conf_load_time() <= now()
        select pg_relation_size('t') > 0, pg_table_size('t') > 0, pg_indexes_size('t') > 0
        select pg_total_relation_size('t') > pg_relation_size('t'), pg_relation_size('t_b') > 0
        select pg_relation_size(1), pg_table_size(1), pg_total_relation_size(1), pg_indexes_size(1)
        select pg_relation_size('t', 'main') > 0, pg_relation_size('t', 'init')
        select pg_relation_size('t', 'nope')
        select pg_relation_size('nope')
        select pg_database_size('nope')
        select pg_database_size(current_database()) > 0, pg_tablespace_size('pg_default') > 0
        select pg_tablespace_size('nope')
        select inet_server_addr(), inet_server_port(), inet_client_addr(), inet_client_port()
    """,
    "columns of the catalogs' types": """
        create table t (a name, b oid, c regclass, d "char", e xid, f regtype, g name[], h oid[], \
            i regproc, j pg_lsn, k xid8, l cid, m tid, n inet, o int2vector, p oidvector)
        insert into t values ('x', 1, 'pg_class', 'c', '7', 'int4', '{a,b}', '{1,2}', \
            'now', '0/1', '18446744073709551615', '1', '(0,1)', '10.0.0.1', '1 2', '3 4')
        insert into t values (repeat('x', 70), 4294967295, 1259, 'longer', '8', 23)
        select * from t order by a
        select a, b::int8, c::oid, d, f::oid, o[0], p[1], m = '(0,1)' from t order by a
        select b from t where a = 'x' and b = 1 and c = 'pg_class'::regclass and d = 'c' and e = '7'
        create index on t (a)
        create index on t (b)
        create index on t (d)
        create index on t (c)
        select a from t where a > 'a' order by a desc
        select b from t where b >= 1 order by b desc
        update t set b = 7 where a = 'x' returning b, m, o
        create table u (a name primary key, b oid unique, c "char" not null default 'x', \
            d regclass default 'pg_class'::regclass)
        insert into u values ('q', 5), ('r', 6)
        insert into u values ('q', 5)
        insert into u values ('z', 6)
        select a || 'x', length(a), c, d from u order by 1
        select * from u x join u y on x.a = y.a and x.b = y.b order by 1
        select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 't'::regclass \
            and attnum > 0 order by attnum
    """,
    "cursors with hold": """
        create table t (id int primary key, b text)
        insert into t select g, 'r' || g from generate_series(1, 10) g
        declare c cursor for select 1
        declare h cursor with hold for select id from t order by id
        fetch 2 from h
        fetch backward 1 from h
        move 3 in h
        fetch next from h
        fetch prior from h
        fetch first from h
        fetch last from h
        fetch absolute 3 from h
        fetch absolute -2 from h
        fetch relative 1 from h
        fetch relative -3 from h
        fetch relative 0 from h
        fetch 0 from h
        fetch all from h
        fetch h
        fetch relative 0 from h
        fetch backward all from h
        fetch relative 0 from h
        fetch -2 from h
        fetch 100 from h
        fetch -100 from h
        fetch absolute 0 from h
        fetch absolute 100 from h
        move absolute 5 in h
        move backward all in h
        move forward 2 in h
        move 0 in h
        move last in h
        move first in h
        select name, statement, is_holdable, is_binary, is_scrollable from pg_cursors
        close h
        close h
        begin
        declare x cursor with hold for select id from t order by id
        fetch 2 from x
        delete from t where id in (1, 4)
        commit
        fetch 3 from x
        fetch backward 1 from x
        begin; fetch x; rollback
        fetch x
        declare n no scroll cursor with hold for select id from t order by id
        fetch 2 from n
        fetch n
        fetch prior from n
        close all
        begin
        declare y cursor with hold for select id from t order by id
        rollback
        fetch y
        begin
        declare y cursor with hold for select id from t order by id
        declare y cursor with hold for select 1
        rollback
        begin
        declare z cursor with hold for select * from t for update
        rollback
        begin
        declare e cursor with hold for select 1 / (g - 3) from generate_series(1, 5) g
        fetch 1 from e
        commit
        fetch e
        declare v cursor with hold for values (1), (2)
        discard all
        fetch v
    """,
    "cursors that scroll": """
        create table t (id int primary key, b text)
        insert into t select g, 'r' || g from generate_series(1, 10) g
        begin
        declare s scroll cursor for select id from t order by id
        fetch 3 from s
        fetch backward 2 from s
        fetch prior from s
        fetch prior from s
        update t set b = 'changed'
        fetch 100 from s
        declare n no scroll cursor for select id from t order by id
        fetch 2 from n
        fetch backward 1 from n
        rollback
        begin
        declare n no scroll cursor for select id from t order by id
        fetch absolute 3 from n
        fetch absolute 4 from n
        fetch relative 2 from n
        fetch last from n
        rollback
        begin
        declare b binary cursor for select id from t order by id
        fetch 2 from b
        rollback
        begin
        declare z scroll cursor for select * from t for update
        rollback
        begin
        declare z insensitive cursor for select * from t for share
        rollback
        begin
        declare z asensitive cursor for select 1 as a, 'x' as b
        fetch all z
        fetch all in z
        move all z
        rollback
        begin
        declare p cursor for select id from t order by id
        savepoint a
        fetch 1 from p
        declare q cursor for select 1
        rollback to a
        fetch 1 from p
        fetch 1 from q
        rollback
        begin
        declare q cursor for select 1
        fetch relative 5 from q
        fetch q
        fetch prior from q
        rollback
    """,
    "names of operators and collations": """
        select '+(int4,int4)'::regoperator, '-(none,int4)'::regoperator, '+(int4,int4)'::regoperator::oid
        select '+(int4)'::regoperator
        select '+(int4,int4,int4)'::regoperator
        select '+(int4,nope)'::regoperator
        select '@#@(int4,int4)'::regoperator
        select '+(int4,int4'::regoperator
        select '+ int4'::regoperator
        select '||/'::regoper, '||/'::regoper::oid
        select '+'::regoper
        select '@#@'::regoper
        select 'C'::regcollation
        select '"C"'::regcollation, '"C"'::regcollation::oid, 'pg_catalog."POSIX"'::regcollation
        select 950::regcollation, 551::regoper, 551::regoperator
        select to_regoper('+'), to_regoperator('+(int4,int4)'), to_regcollation('"C"')
        select to_regcollation('nope'), to_regoperator('nope(int4,int4)'), to_regoper('nope')
        select oprname, oid::regoper, oid::regoperator from pg_operator where oid in (551, 96) order by 1
        select pg_my_temp_schema(), pg_is_other_temp_schema(2200), pg_trigger_depth(), pg_blocking_pids(1)
    """,
    "discard": """
        prepare p as select 1
        set application_name = 'discarded'
        discard plans
        discard sequences
        discard temp
        execute p
        begin
        discard all
        rollback
        discard all; select 1
        discard all
        execute p
        show application_name
    """,
}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Server, Server]]:
    staying, moving = Server("postgres", moves=False), Server("postgres", moves=True)
    yield staying, moving
    staying.stop()
    moving.stop()


@pytest.fixture
def theirs(postgres: psycopg.Connection[Any]) -> Iterator[Peer]:
    """A session of the real PostgreSQL that looks as ours begin, in an empty schema."""
    info = postgres.info
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{info.host}/.s.PGSQL.{info.port}")
        peer = Peer(connection)
        peer.send(client.startup({"user": info.user, "database": info.dbname, "timezone": "UTC"}))
        peer.until_ready()
        yield peer


def transcript(peer: Peer, script: str) -> list[Any]:
    """Return what is seen of each statement of a script."""
    name = "s"
    peer.query(f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")
    peer.query(f"SET search_path = {name}")
    found = []
    for text in filter(None, map(str.strip, script.replace("\\\n", "").splitlines())):
        answers = peer.query(text)
        said = [
            {field: fields.get(field) for field in "SCMDHP"}
            for fields in errors(answers) + notices(answers)
        ]
        shown = letters(answers).replace("S", "")
        found.append((text, shown, tags(answers), rows(answers), said))
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_session_speaks_as_postgresql_does(
    name: str, theirs: Peer, servers: tuple[Server, Server]
) -> None:
    expected = transcript(theirs, SCRIPTS[name])
    for server in servers:
        assert transcript(server.connect(), SCRIPTS[name]) == expected
    servers[
        1
    ].wait_until_silent()  # a client that is quick has its next statement there before it moves
    assert servers[1].departures
