-- Whom information_schema shows the row types of tables.
admin> create table t (a int, b int)
admin> select * from information_schema.udt_privileges where udt_name = 't' order by 1, 2, 5
alice> select * from information_schema.udt_privileges where udt_name = 't' order by 1, 2, 5
alice> select * from information_schema.role_udt_grants where udt_name = 't' order by 1, 2, 5
admin> select * from information_schema.role_udt_grants where udt_name = 't' order by 1, 2, 5
alice> select grantee, udt_name, privilege_type, is_grantable from information_schema.udt_privileges where udt_name in ('int4', 'pg_class')
admin> create schema apart
admin> create domain apart.d as int
alice> select 1::apart.d
alice> select '{1}'::apart.d[]
admin> grant usage on schema apart to alice
alice> select 1::apart.d
admin> revoke usage on schema apart from alice
alice> select cast(null as apart.d)
admin> create schema kept
admin> grant create, usage on schema kept to alice, bob
alice> create domain kept.d as int
alice> create table kept.t (a kept.d, b kept.d[], c int)
alice> create view kept.v as select a x, c from kept.t
alice> revoke usage on domain kept.d from public
alice> grant select on kept.t, kept.v to bob
bob> select * from kept.v
bob> create view kept.w as select 1::kept.d
bob> create view kept.w as select a from kept.t
bob> create view kept.w as select b from kept.t
bob> create view kept.w as select * from kept.v
bob> create view kept.w as select c from kept.v order by x
bob> create view kept.w2 as select x from (select x + 0 x from kept.v) q
bob> create view kept.w3 as select tableoid, c from kept.t union select 1, 2
bob> create temp view w4 as select x from kept.v
alice> create view kept.w5 as select * from kept.v
