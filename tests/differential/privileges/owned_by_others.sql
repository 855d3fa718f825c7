-- Objects of all kinds, by who owns them not: what each statement says. Each line is a session of its own.
admin> create schema shop
admin> grant usage, create on schema shop to alice
admin> grant usage on schema shop to bob, carol
alice> create table shop.t (a int primary key, b int, c text default 'x')
alice> insert into shop.t values (1,2,'s'), (2,3,'t')
alice> create table shop.pub (a int primary key, b int)
alice> insert into shop.pub values (1,2)
alice> grant select on shop.pub to public
alice> create view shop.v as select a, b from shop.t
alice> create view shop.vi with (security_invoker) as select a, b from shop.t
alice> create view shop.vb with (security_barrier) as select a, b from shop.t where b > 2
alice> create sequence shop.sq
alice> create function shop.f(x int) returns int language sql as 'select x + 1'
alice> create function shop.fd() returns bigint language sql security definer as 'select count(*) from shop.t'
alice> create function shop.fi() returns bigint language sql as 'select count(*) from shop.t'
alice> create function shop.fw() returns int language sql security definer as 'insert into shop.t values (9,9) returning a'
alice> create domain shop.d as int check (value > 0)
-- views
bob> select * from shop.v
bob> select * from shop.vi
alice> grant select on shop.v, shop.vi, shop.vb to bob
bob> select * from shop.v
bob> select * from shop.vi
bob> select * from shop.vb
bob> explain (costs off) select * from shop.vi
bob> copy (select * from shop.vi) to stdout
bob> update shop.v set b = 5
bob> insert into shop.v values (5,5)
bob> delete from shop.v
alice> grant insert (a, b), update (b), delete on shop.v to bob
bob> insert into shop.v values (5,5)
bob> update shop.v set b = 7 where a = 5
bob> update shop.v set a = 7 where a = 5
bob> delete from shop.v where a = 5
bob> select * from shop.v for update
bob> insert into shop.vi values (50,5)
alice> revoke select on shop.v from bob
bob> comment on view shop.v is 'x'
bob> alter view shop.v rename to w
bob> alter view shop.v owner to bob
bob> alter view shop.v set (security_barrier)
bob> alter view shop.v alter a set default 1
bob> alter view shop.v set schema public
bob> drop view shop.v
bob> create or replace view shop.v as select 1 a, 2 b
alice> comment on view shop.v is 'x'
-- sequences
bob> select nextval('shop.sq')
bob> select setval('shop.sq', 4)
bob> select * from shop.sq
bob> select last_value from shop.sq
bob> alter sequence shop.sq restart
bob> alter sequence shop.sq owner to bob
bob> alter sequence shop.sq rename to sq2
bob> drop sequence shop.sq
bob> comment on sequence shop.sq is 'x'
alice> grant usage on sequence shop.sq to bob
bob> select nextval('shop.sq')
bob> select setval('shop.sq', 4)
bob> select last_value from shop.sq
alice> revoke usage on sequence shop.sq from bob
alice> grant select on sequence shop.sq to bob
bob> select nextval('shop.sq')
alice> revoke select on sequence shop.sq from bob
alice> grant update on sequence shop.sq to bob
bob> select nextval('shop.sq') > 0
bob> select setval('shop.sq', 40)
bob> select pg_sequence_last_value('shop.sq'::regclass)
bob> select last_value from pg_sequences where sequencename = 'sq'
alice> create table shop.ser (id serial, id2 int generated always as identity, v int)
alice> grant insert (v) on shop.ser to bob
bob> insert into shop.ser (v) values (1)
alice> grant usage on sequence shop.ser_id_seq to bob
bob> insert into shop.ser (v) values (1)
bob> insert into shop.ser (v) values (1) returning id
-- functions
bob> select shop.f(1)
bob> select shop.fd()
bob> select shop.fi()
bob> select shop.fw()
bob> select shop.f(1)
bob> select * from shop.f(1)
bob> select 1 where shop.f(1) = 2
bob> select count(*) filter (where shop.f(1) > 0) from shop.pub
bob> select shop.fd()
bob> explain (costs off) select shop.f(1)
bob> alter function shop.f(int) owner to bob
bob> alter function shop.f(int) rename to g
bob> alter function shop.f(int) security definer
bob> create or replace function shop.f(x int) returns int language sql as 'select 7'
bob> drop function shop.f(int)
bob> comment on function shop.f(int) is 'x'
bob> select shop.f(1)
-- domains
bob> select 1::shop.d
alice> revoke usage on type shop.d from public
bob> alter table dd add column b shop.d
bob> select 2::shop.d
bob> alter domain shop.d add check (value > 5)
bob> alter domain shop.d rename to e
bob> alter domain shop.d set default 4
bob> alter domain shop.d drop constraint d_check
bob> drop domain shop.d
bob> comment on domain shop.d is 'x'
bob> comment on constraint d_check on domain shop.d is 'x'
-- foreign keys
admin> grant bob to admin
alice> grant references (a) on shop.t to bob
alice> delete from shop.t where a = 1
alice> update shop.t set a = 77 where a = 1
alice> revoke references (a) on shop.t from bob
-- cursors, prepare
alice> grant select on shop.t to bob
alice> revoke select on shop.t from bob
alice> grant select on shop.t to bob
alice> revoke select on shop.t from bob
-- comments
bob> comment on table shop.t is 'x'
bob> comment on column shop.t.a is 'x'
bob> comment on schema shop is 'x'
bob> comment on database postgres is 'x'
bob> comment on index shop.t_pkey is 'x'
bob> comment on constraint t_pkey on shop.t is 'x'
bob> comment on table shop.nope is 'x'
bob> comment on table pg_catalog.pg_class is 'x'
bob> comment on function pg_catalog.abs(int) is 'x'
-- owner to
bob> alter table shop.t owner to bob
bob> alter schema shop owner to bob
bob> alter database postgres owner to bob
alice> alter schema shop owner to bob
-- default privileges
alice> alter default privileges in schema shop grant select on tables to bob
alice> alter default privileges in schema shop grant usage on sequences to bob
alice> alter default privileges revoke usage on types from public
alice> alter default privileges grant usage on schemas to bob
alice> alter default privileges in schema shop grant usage on schemas to bob
alice> create table shop.dt (a int)
alice> create view shop.dv as select 1 a
alice> create sequence shop.ds
alice> create function shop.df() returns int language sql as 'select 1'
alice> create domain shop.ddd as int
bob> select * from shop.dt
bob> select * from shop.dv
bob> select nextval('shop.ds')
bob> select shop.df()
-- session functions
-- search path, set role
bob> lock table shop.t
bob> truncate shop.t
bob> reindex table shop.t
bob> create index on shop.t (b)
bob> copy shop.t to stdout
bob> table shop.t
bob> merge into shop.pub using (select 1 x) z on a = x when matched then delete
bob> select relname from pg_class where oid = 'shop.t'::regclass
bob> select (shop.t).a from shop.t
bob> select row_to_json(t) from shop.t t
bob> select * from shop.pub where exists (select 1 from shop.t)
bob> select pg_relation_size('shop.t') >= 0
bob> select has_table_privilege('alice','shop.t','select')
bob> select count(*) from pg_stats where tablename = 't' and schemaname = 'shop'
bob> select pg_get_viewdef('shop.v'::regclass) is not null
bob> select rolpassword from pg_authid
bob> select count(*) from pg_shadow
bob> set session authorization alice
bob> select pg_sleep(0)
bob> create type shop.e as enum ('a')
