create function f(a int) returns int language sql immutable as 'select a + 1'

create domain p as int check (f(value) > 1) default f(3)

create table t (a int default f(5), b int check (f(b) < 100), c int generated always as (f(b)) stored, d int default 7::p)

create index ti on t (f(b))

create view v as select f(a) as x, b::p as y from t where f(a) > 0

create function g(x int default f(1), y p default 2) returns int language sql as 'select x + y'

create view vs as select * from generate_series(1, f(1)) s

alter function f(int) rename to ff

alter domain p rename to pp

insert into t (b) values (1) returning *

insert into t (b) values (100)

select * from v

select * from vs

select g()

select pg_get_viewdef('v'::regclass)

select 0::pp

create schema s

alter function ff(int) set schema s

alter domain pp set schema s

insert into t (b) values (2) returning *

select * from v order by 1, 2

select pg_get_viewdef('v'::regclass)

select g()

alter schema s rename to s3

insert into t (b) values (3) returning *

select * from v order by 1, 2

select g()

select pg_get_constraintdef(oid) from pg_constraint where conname in ('t_b_check', 'p_check') order by 1

select pg_get_expr(adbin, adrelid) from pg_attrdef where adrelid = 't'::regclass order by adnum

comment on domain s3.pp is 'positive'

drop domain s3.pp
