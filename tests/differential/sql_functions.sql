-- basic

create table t (id int primary key, v text)

insert into t values (1,'a'),(2,'b'),(3,'c')

create function add1(a int) returns int language sql as 'select a+1'

select add1(2)

select add1(id), id from t order by 1

create function add2(int, int default 5) returns int language sql immutable as $$select $1 + $2$$

select add2(1), add2(1,2)

create function named(a int, b int default 10, c text default 'x') returns text language sql as $$ select a::text || b || c $$

select named(1), named(1, c => 'z'), named(b => 3, a => 2), named(1, c := 'q')

create function onerow(int) returns t language sql as 'select * from t where id = $1'

select * from onerow(2)

select (onerow(2)).v

create function rows_of(m int) returns setof t language sql stable as 'select * from t where id >= m order by id'

select * from rows_of(2)

select id, r.v from t, lateral rows_of(t.id) r order by 1,2

create function tab(m int) returns table(i int, w text) language sql as 'select id, v from t where id <= m'

select * from tab(2)

select w from tab(2) x where i = 1

select tab(2)

create function outs(a int, out b int, out c text) language sql as $$ select a*2, 'c'||a $$

select * from outs(4)

select outs(4)

select (outs(4)).c

create function one_out(out z int) language sql as 'select 42'

select * from one_out()

select one_out()

create function vf(variadic nums int[]) returns int language sql as 'select count(*)::int from unnest(nums)'

select vf(1,2,3), vf(variadic array[1,2])

create function ins(i int, s text) returns void language sql as $$ insert into t values (i, s) $$

select ins(10, 'ten')

select count(*) from t

create function ins2(i int, s text) returns t language sql as $$ insert into t values (i, s) returning * $$

select * from ins2(11, 'eleven')

create function multi(i int) returns bigint language sql as $$ insert into t values (i, 'm'); delete from t where id = 10; select count(*) from t; $$

select multi(12)

select * from t order by id

create function ret(a int) returns int return a * 2

select ret(21)

create function atom(a int) returns int begin atomic select a; select a + 1; end

select atom(3)

create function strictf(a int, b int) returns int strict language sql as 'select coalesce(a,0) + coalesce(b,0)'

select strictf(1, null), strictf(1,2)

create function first(anyarray) returns anyelement language sql as 'select $1[1]'

select first(array[3,4]), first(array['x','y'])

create function dup(f1 anyelement, out f2 anyelement, out f3 anyarray) language sql as 'select $1, array[$1,$1]'

select * from dup(22)

select dup('xyz'::text)

create function fact(n int) returns int language sql as 'select case when n <= 1 then 1 else n * fact(n-1) end'

select fact(5)

create function forever(n int) returns int language sql volatile as 'select forever(n+1)+1'

select forever(1)

create function bad(a int) returns int language sql as 'select nosuch'

create function bad(a int) returns int language sql as 'select ''a''::text'

create function bad(a int) returns int language sql as 'insert into t values (1)'

create function bad(a int) returns int language sql as 'select 1, 2'

create function bad(a int) returns int language sql as 'selekt 1'

create function bad(a nosuch) returns int language sql as 'select 1'

create function bad(a int) returns nosuch language sql as 'select 1'

create function bad(a int) returns int as 'select 1'

create function bad(a int) language sql as 'select 1'

create function bad(a int) returns int language sql

create function bad(a int default 1, b int) returns int language sql as 'select 1'

create function bad(a int, a int) returns int language sql as 'select 1'

create function bad() returns anyelement language sql as 'select 1'

create function add1(a int) returns int language sql as 'select a+2'

create or replace function add1(a int) returns int language sql as 'select a+2'

select add1(1)

create or replace function add1(a int) returns text language sql as 'select '''''

create or replace function add1(b int) returns int language sql as 'select 1'

select add1('x'::text)

select add1(1,2,3)

select nosuchf(1)

create function st(i int) returns void stable language sql as $$ insert into t values (i, 's') $$

select st(99)

create function rec() returns record language sql as $$ select 1, 'a'::text $$

select * from rec() as (a int, b text)

select * from rec()

select rec()

create function recs() returns setof record language sql as $$ select id, v from t order by id $$

select * from recs() as x(a int, b text) limit 2

select * from recs() as x(a int) limit 2

select * from recs() as x(a text, b text) limit 2

create function defer() returns int language sql as 'select 1' cost -1

create function rr() returns int language sql rows 10 as 'select 1'

create function div(a int) returns int language sql as 'select 1/a'

select div(0)

create function divv(a int) returns int language sql as 'select 1/a from t limit 1'

select divv(0)

select add1(id) from t where add1(id) > 3 order by 1

select * from add1(5)

select * from add1(5) as q

select * from vf(1,2) with ordinality

create function atom2(a int) returns int begin atomic; select 1; return a + 5; end

select atom2(3)

drop table t cascade

-- ddl

create table t (id int primary key, v text)

create function f1(a int) returns int language sql as 'select a+1'

create function f1(a text) returns int language sql as 'select 1'

drop function f1

drop function f1(numeric)

drop function if exists f1(numeric)

drop function if exists nosuch

drop function nosuch

drop function nosuch(nosuchtype)

drop function if exists nosuch(nosuchtype)

drop function f1(text)

drop function f1

create function f1(a int, b int default 3) returns int language sql immutable strict as 'select a+b'

create table d (a int default f1(2), b int check (f1(b) > 3))

drop function f1

insert into d (b) values (4)

insert into d (b) values (0)

select * from d

insert into d (b) values (0)

select * from d order by b

create function at() returns bigint begin atomic; select count(*) from t; end

drop table t

drop table t cascade

select at()

create table t (id int primary key, v text)

create function rt() returns setof t language sql as 'select * from t'

drop table t

alter function rt() rename to rt2

select * from rt2()

alter function rt2() stable strict cost 7 rows 10

alter function rt2() set search_path to public

select provolatile, proisstrict, procost, prorows, proconfig from pg_proc where proname = 'rt2'

alter function rt2() reset search_path

alter function rt2() volatile called on null input

create schema s

alter function rt2() set schema s

select rt2()

select s.rt2()

alter function s.rt2() set schema public

alter function nosuch() stable

alter function nosuch() rename to x

alter function rt2() immutable stable

create function a1(x int, out y int, inout z text default 'q', variadic w int[] default '{}') returns record language sql as $$ select x, z $$

select pg_get_function_arguments(oid), pg_get_function_identity_arguments(oid), pg_get_function_result(oid), pg_get_functiondef(oid) from pg_proc where proname = 'a1'

create function tb(x int) returns table (p int, q text) language sql stable parallel safe as $$ select 1, 'x' $$

select pg_get_function_arguments(oid), pg_get_function_identity_arguments(oid), pg_get_function_result(oid), pg_get_functiondef(oid) from pg_proc where proname = 'tb'

create function rb(x int) returns int return x + 1

create function st() returns text language sql security definer set search_path = s, public set work_mem = '10MB' as $$ select current_setting('search_path') $$

select pg_get_functiondef('st()'::regprocedure)

select proname, provariadic, pronargs, pronargdefaults, prorettype::regtype, proargtypes, proallargtypes, proargmodes, proargnames, prosrc, prokind, prosecdef from pg_proc where proname in ('a1','tb','rb','st') order by 1

select 'a1(int,text,int[])'::regprocedure, 'rb'::regproc, 'public.rb'::regproc::text

select 's.st()'::regprocedure

create function dp() returns int language sql as 'select 1'

drop function s.rt2(), rb(int)

drop routine rb(int)

drop function rt2(), a1

drop schema s

create function s.inner() returns int language sql as 'select 1'

drop schema s

drop schema s cascade

create function bad2(x int) returns int language nosuch as 'x'

create function pr() returns int language sql support abs as 'select 1'

create function dup1() returns int language sql stable volatile as 'select 1'

create function ret2() returns int language sql as 'select 1' as 'select 2'

create or replace function tb(x int) returns table (p int, q int) language sql as 'select 1, 1'

drop table t cascade

-- tx

create table t (id int primary key, v text)

insert into t values (1,'a'),(2,'b')

create function cnt() returns bigint language sql volatile as 'select count(*) from t'

create function cnts() returns bigint language sql stable as 'select count(*) from t'

create function ins(i int) returns int language sql as 'insert into t values (i, ''x'') returning id'

insert into t select 10 + g, cnt()::text || cnts()::text from generate_series(1,3) g

select * from t order by id

select ins(20), ins(21), (select count(*) from t)

select * from t order by id

begin

select ins(30)

select cnt(), cnts()

savepoint a

select ins(31), cnt(), cnts()

rollback to a

select cnt(), cnts()

update t set v = 'u' || ins(40) where id = 30

select * from t where id >= 30 order by id

commit

select count(*) from t

create function upd(i int) returns int language sql as 'update t set v = ''inner'' where id = i returning id'

update t set v = 'outer' || upd(1) where id = 1

select * from t where id = 1

create function delins(i int) returns int language sql as 'delete from t where id = i; select 1'

select count(*) from t

select ins(20)

create function two(i int) returns int language sql as 'insert into t values (i); select 1/0'

select two(77)

select count(*) from t

create function atb(a int) returns bigint begin atomic insert into t values (a, 'at'); select count(id) from t where id > a; end

select atb(500)

alter table t drop column v

drop table t

create function setret() returns setof int language sql as 'insert into t values (600,''q'') returning id'

select * from setret(), generate_series(1,2)

select count(*) from t where id = 600

create function nested(i int) returns int language sql as 'select ins(i) + 1'

select nested(700)

select id from t where id >= 700

select ins(801) from generate_series(1,1) where exists (select from t where id = 801)

begin read only

select ins(900)

rollback

create function defn(a int, b int default cnts()::int) returns int language sql as 'select a+b'

select defn(1)
