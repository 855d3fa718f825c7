create function rr() returns setof record stable language sql as $$ select 1.234, 'abc'::text $$

select * from rr() as t(x numeric(4,2), y varchar(2))

select * from rr() as t(x numeric(4,2), y varchar(3))

create table w (a varchar(3), b numeric(4,1))

create function sw() returns setof w language sql as $$ select 'abc'::varchar, 2.55 $$

select * from sw()

create domain dd as int default 7

create table t (id int primary key, x dd default null, y dd not null default null, z dd)

insert into t (id) values (1)

insert into t (id, y) values (2, 1) returning *

alter table t alter column x drop default

insert into t (id, y) values (3, 1) returning *
