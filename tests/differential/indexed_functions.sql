create function vol(i int) returns int immutable strict language sql as 'select coalesce($1, 0) + 1'

create table ix (a int primary key, b int)

insert into ix values (1, 5), (2, null)

create index ixi on ix (vol(b))

select * from ix where vol(b) = 6

insert into ix values (3, 5)

select * from ix where vol(b) = 6 order by a

create domain pos as int check (value > 0)

create function fstr(a pos) returns int strict immutable language sql as 'select a * 2'

create unique index ixu on ix (fstr(a))

insert into ix values (4, 4)

insert into ix values (-4, 4)

alter table ix add column c pos

update ix set c = a

select * from ix order by 1

create index on ix (nosuch(b))

create function half(i int) returns int immutable language sql as 'select 10 / $1 from (values (1), (2)) v limit 1'

insert into ix values (100, 0)

create index hi on ix (half(b::int))
