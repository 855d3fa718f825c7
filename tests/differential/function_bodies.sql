create table ft (a int, b text)

insert into ft values (1, 'x'), (2, 'y')

create function r1(a text, b date) returns boolean return a = 'abcd' and b > '2001-01-01'

create function r2(a text[]) returns int return a[1]::int

create function r3(x int) returns bigint return (select count(*) from ft where ft.a >= x)

create function a1(x int) returns boolean begin atomic select 1; select case when x % 2 = 0 then true else false end; end

create function a2(x int) returns setof ft begin atomic select * from ft where a > x order by b; end

create function a3(a int, b int) returns void begin atomic insert into ft values (a + b, 'z'); end

create function a4(int) returns int begin atomic select $1 + r2(array['5']); end

select pg_get_functiondef('r1'::regproc)

select pg_get_functiondef('r2'::regproc)

select pg_get_functiondef('a2'::regproc)

select pg_get_functiondef('a4'::regproc)

select r1('abcd', '2020-01-01'), r2('{7}'), r3(2), a1(4), a4(1)

select * from a2(0)

select a3(3, 4)

alter table ft rename to ft2

alter table ft2 rename column a to aa

alter function r2(text[]) rename to r22

select r3(2), a4(1)

select * from a2(1)

select pg_get_functiondef('a4'::regproc)

create function a5(n int) returns int begin atomic select case when n <= 0 then 0 else n + 1 end; end

select a5(4)

create schema mv

alter table ft2 set schema mv

select r3(2), a4(1)

drop table mv.ft2
