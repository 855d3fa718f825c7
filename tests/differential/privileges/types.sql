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
