create domain pos as int check (value > 0)

create function fp(a pos) returns pos language sql as 'select a - 1'

select fp(3)

select fp(1)

select fp(0)

create function fset() returns setof pos language sql as 'select g - 2 from generate_series(4, 1, -1) g'

select * from fset() limit 1

select * from fset()

create function fo(out a pos, out b text) language sql as $$ select 0, 'x' $$

select * from fo()

create function far(variadic a pos[]) returns int language sql as 'select a[1]'

select far(1, 2)

select far(1, -2)

create function fstr(a pos) returns int strict immutable language sql as 'select a * 2'

select fstr(null), fstr(4)

create function fdep(x int default fstr(1)) returns int language sql as 'select x'

select fdep()

drop function fstr(pos)

create domain arr as int[] check (array_length(value, 1) = 2)

select '{1,2}'::arr, array[1,2]::arr

select '{1}'::arr

create table ut (a arr, b pos default 7)

insert into ut (a) values ('{5,6}') returning a[1], b

alter table ut add column c pos

create domain nn as text not null

alter table ut add column d nn

delete from ut

alter table ut add column d nn

insert into ut (a) values ('{1,2}')

create domain con as integer

create table domcontest (col1 con)

insert into domcontest values (1)

insert into domcontest values (2)

alter domain con add constraint t check (VALUE < 1)

alter domain con add constraint t check (VALUE < 34)

alter domain con add check (VALUE > 0)

insert into domcontest values (-5)

insert into domcontest values (42)

create domain vc4 as varchar(4)

create table vt (f1 vc4[])

insert into vt values (array['too long'])

insert into vt values (array['too long']::vc4[])

select * from vt

create function vol(i int) returns int immutable strict language sql as 'select coalesce($1, 0) + 1'

create table ix (a int primary key, b int)

insert into ix values (1, 5), (2, null)

select * from ix where vol(b) = 6

insert into ix values (3, 5)

select * from ix where vol(b) = 6 order by a
