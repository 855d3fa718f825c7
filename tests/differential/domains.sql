create domain d as int check (value > 0)

create domain dn as text not null default 'x'

create domain d2 as d check (value < 100) constraint named check (value <> 50)

select 5::d, 5::d2

select 0::d

select 0::d2

select 100::d2

select 50::d2

select null::d

select null::dn

select '7'::d + 1

create table t (id int primary key, a d, b dn, c d2 default 5)

insert into t values (1, 1, 'y', 10)

insert into t (id) values (2)

insert into t values (3, 0, 'y', 10)

insert into t values (3, 1, null, 10)

insert into t values (3, 1, 'z', 100)

update t set a = -1 where id = 1

update t set b = null where id = 1

update t set a = 8 where id = 1

select * from t order by id

insert into t select 10, -5, 'q', 5

insert into t (id, a) values (4, 9) on conflict (id) do update set a = -3

insert into t (id, a) values (4, 9) on conflict (id) do update set a = -3

select a + c, pg_catalog.format_type(atttypid, atttypmod) from t, pg_attribute where attrelid = 't'::regclass and attname = 'c' and id = 1

create domain v5 as varchar(5)

select 'abcdefgh'::v5

create table tv (v v5)

insert into tv values ('abcdefgh')

insert into tv values ('abcde')

create table ta (x d[])

insert into ta values (array[1,2])

insert into ta values (array[1,0])

select '{1,2}'::d[], array[1,2]::d[]

select '{1,-2}'::d[]

create domain d as int

create domain bad as nosuch

create domain bad as int unique

create domain bad as int primary key

create domain bad as int references t

create domain bad as int null not null

create domain bad as int default 'x'

create domain bad as int default 1 default 2

create domain bad as int check (nosuch > 1)

create domain bad as int check (value > 'x')

create domain bad as int check (value)

create domain bad as anyelement

create domain bad as int collate "C"

create domain bad as text collate "nosuch"

create domain bad as int check (value > (select 1))

create domain bad as int constraint c check (value > 1) constraint c check (value > 2)

create domain coll as text collate "C"

alter domain d add constraint big check (value < 8)

alter domain d add constraint big check (value < 1000)

alter domain d add constraint big check (value < 1000)

select 2000::d2

alter domain d drop constraint nosuch

alter domain d drop constraint if exists nosuch

alter domain d drop constraint big

alter domain d set not null

insert into t values (20, 5, 'x', 5)

delete from t where a is null

drop table ta

alter domain d set not null

insert into t (id) values (30)

alter domain d drop not null

alter domain d set default 3

insert into t (id) values (31) returning *

alter domain d drop default

alter domain d add constraint late check (value > 5) not valid

insert into t values (40, 2, 'x', 5)

alter domain d validate constraint nosuch

delete from t where a <= 5

alter domain d validate constraint late

alter domain d rename constraint late to later

alter domain d rename to dd

select 3::dd

select 3::d2

alter domain dd rename constraint nosuch to x

create schema s2

alter domain dd set schema s2

select 3::s2.dd, 7::s2.dd

alter domain s2.dd set schema public

alter domain int set not null

alter domain nosuch set not null

alter domain t set not null

drop domain nosuch

drop domain if exists nosuch

drop domain int4

drop domain dd

select typname, typtype, typbasetype::regtype, typnotnull, typdefault, typtypmod from pg_type where typname in ('dd','d2','dn','v5') order by 1

select 'dd'::regtype, 'd2[]'::regtype, format_type('dd'::regtype, -1)

create function posit(int) returns boolean language sql immutable as 'select $1 > 0'

create domain fd as int check (posit(value))

select 1::fd

select 0::fd

drop function posit(int)

drop function posit(int) cascade

select 0::fd

create table def1 (a int default 5::dd, b int check (b::dd > 2))

drop domain dd cascade

select * from t order by id

drop domain dn, v5 cascade

grant usage on domain coll to public

grant usage on type coll to public

grant select on domain coll to public

grant usage on domain int4 to public

drop domain coll
