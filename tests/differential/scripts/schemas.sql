create role cr;
grant cr to current_user;
create schema x1 create table a(i int primary key) create view b as select * from a create index on a(i) grant select on a to cr;
create schema x2 create table nope.a(i int);
create schema x2 create view z as select * from y create table y(i int);
-- differs
create schema if not exists x2 create table y(i int);
create schema x3 create table y(i int) create function f() returns int language sql as 'select 1';
create schema authorization cr create table mine(i int) create view over as select * from mine;
create schema x4 create table x4.y(i int) create view x4.w as select * from nope;
select nspname, relname, relkind, relowner::regrole = 'cr'::regrole from pg_class join pg_namespace n on n.oid=relnamespace where nspname in ('x1','x2','x4','cr') order by 1,2;
select pg_get_viewdef('x1.b'::regclass);
select count(*) from x1.b;
show search_path;
create table after(i int);
select 'after'::regclass;
drop schema x1 cascade;
drop schema cr cascade;
drop role cr;
