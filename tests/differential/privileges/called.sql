-- Functions and types of others, where a statement computes or takes them up; nobody leaves a definer's role.
admin> create schema s
admin> grant usage, create on schema s to alice, bob
admin> grant usage on schema s to carol
alice> alter role alice set search_path = s
bob> alter role bob set search_path = s
carol> alter role carol set search_path = s
admin> grant bob to alice
alice> create function who(r text) returns text language sql security definer as 'select set_config(''role'', r, true)'
alice> create function whoi(r text) returns text language sql as 'select set_config(''role'', r, true)'
alice> create function sa(r text) returns text language sql security definer as 'select set_config(''session_authorization'', r, true)'
alice> select who('bob')
alice> select who('none')
alice> select who('nosuch')
alice> select sa('bob')
alice> select sa('alice')
carol> select who('alice')
carol> select who('carol')
alice> select whoi('bob')
alice> create function deep(r text) returns text language sql security definer as 'select s.whoi(r)'
alice> select deep('bob')
carol> select deep('carol')
bob> create function inner_() returns text language sql security definer set search_path = s as 'select current_user::text || current_setting(''search_path'')'
carol> select inner_()
alice> create function chk(int) returns bool language sql immutable as 'select $1 > 0'
bob> create table ck2 (a int)
alice> revoke execute on function chk(int) from public
bob> create index on ck2 ((s.chk(a)))
bob> create index on ck2 (a) where s.chk(a)
bob> alter table ck2 add check (s.chk(a))
bob> alter table ck2 add column c bool default s.chk(1)
bob> alter table ck2 add column c bool generated always as (s.chk(a)) stored
bob> insert into ck2 values (1)
bob> alter table ck2 add check (s.chk(a))
bob> alter table ck2 add constraint x check (s.chk(a)) not valid
bob> alter table ck2 validate constraint x
bob> alter table ck2 add column d bool default s.chk(1)
bob> create statistics sx on (s.chk(a)), a from ck2
bob> analyze ck2
bob> copy (select s.chk(1)) to stdout
bob> select * from s.chk(1)
bob> values (s.chk(1))
bob> select 1 limit (case when s.chk(1) then 1 end)
bob> select count(*) filter (where s.chk(1))
bob> select sum(1) over (partition by s.chk(1))
bob> update ck2 set a = 1 where s.chk(a)
bob> delete from ck2 where s.chk(a)
bob> insert into ck2 (a) values (1) on conflict do nothing returning s.chk(a)
bob> merge into ck2 using (values (1)) v(x) on s.chk(x) when matched then do nothing
bob> create view vv as select s.chk(1)
bob> select * from vv
bob> create table ctas as select s.chk(1)
bob> create function f2(a int, b bool default s.chk(1)) returns int language sql as 'select 1'
bob> select f2(1)
bob> explain (costs off) select s.chk(1)
bob> declare c cursor with hold for select s.chk(1)
bob> select has_function_privilege('s.chk(int)', 'execute')
alice> create type en as enum ('x', 'y')
alice> create table te (a s.en, b int)
alice> grant select on te to bob
alice> revoke usage on type en from public
bob> create view ve as select a from te
bob> create view ve2 as select b from te
bob> create table ce as select a from te
bob> create table ce as select a from te with no data
bob> create table ce as select b from te where a is null with no data
bob> select a into ie from te
bob> select a from te
bob> create or replace view ve2 as select b, a from te
carol> create table public.nope as select a from te with no data
carol> create temp table t1 as select a, b from te with no data
carol> create temp table t2 as select nope from te with no data
carol> create temp table t3 as select b from te with no data
carol> create temp table t4 as select b from te
bob> alter type en set schema public
bob> alter type nope set schema public
bob> alter type en set schema nope
bob> alter function chk(int) set schema public
bob> alter function chk(int) set schema nope
bob> alter function nope(int) set schema public
bob> alter domain nope set schema public
bob> alter table te set schema public
bob> alter sequence nope set schema public
alice> alter table te set schema public
