-- information_schema's privilege views, for owners, grantees and strangers.
admin> create table t (a int, b int)
admin> create table other (a int)
admin> grant select, insert on t to alice with grant option
admin> grant update (b), references (a) on t to bob
admin> grant delete on t to public
admin> grant bob to carol
alice> grant select on t to dave
admin> select * from information_schema.table_privileges where table_name in ('t', 'other') order by 1, 2, 5, 6
alice> select * from information_schema.table_privileges where table_name in ('t', 'other') order by 1, 2, 5, 6
carol> select * from information_schema.table_privileges where table_name in ('t', 'other') order by 1, 2, 5, 6
alice> select * from information_schema.role_table_grants where table_name in ('t', 'other') order by 1, 2, 5, 6
carol> select * from information_schema.role_table_grants where table_name in ('t', 'other') order by 1, 2, 5, 6
admin> select * from information_schema.column_privileges where table_name in ('t', 'other') order by 1, 2, 5, 6, 7
carol> select * from information_schema.column_privileges where table_name in ('t', 'other') order by 1, 2, 5, 6, 7
carol> select * from information_schema.role_column_grants where table_name in ('t', 'other') order by 1, 2, 5, 6, 7
dave> select * from information_schema.role_column_grants where table_name in ('t', 'other') order by 1, 2, 5, 6, 7
carol> select * from information_schema.enabled_roles where role_name !~ '^pg_' order by 1
carol> select * from information_schema.applicable_roles where role_name !~ '^pg_' order by 1, 2
alice> select * from information_schema.applicable_roles
dave> select grantee, privilege_type, is_grantable from information_schema.table_privileges where table_name = 'pg_class'
dave> select grantee, privilege_type, is_grantable from information_schema.column_privileges where table_name = 'pg_class' and column_name = 'relname'
dave> select grantee, privilege_type, is_grantable from information_schema.routine_privileges where routine_name = 'now'
dave> select grantee, object_name, object_type, privilege_type, is_grantable from information_schema.usage_privileges where object_name in ('C', 'POSIX') and object_schema = 'pg_catalog' order by 2
dave> select count(*) from information_schema.role_usage_grants
dave> select count(*) from information_schema.role_routine_grants
carol> select * from information_schema.administrable_role_authorizations
-- what the other views show to whom
admin> create schema closed
admin> create schema half
admin> grant usage on schema half to bob
admin> create table keyed (a int primary key, b int unique, c int, constraint positive check (c > 0))
admin> grant select (a), references (c) on keyed to bob
admin> grant select on keyed to alice
carol> select table_name from information_schema.tables where table_schema = 'public' order by 1
dave> select table_name from information_schema.tables where table_schema = 'public' order by 1
alice> select table_name, column_name from information_schema.columns where table_schema = 'public' order by 1, 2
bob> select table_name, column_name from information_schema.columns where table_schema = 'public' order by 1, 2
bob> select schema_name, schema_owner from information_schema.schemata where schema_name in ('closed', 'half', 'public') order by 1
dave> select schema_name, schema_owner from information_schema.schemata where schema_name in ('closed', 'half', 'public') order by 1
alice> select constraint_name, constraint_type from information_schema.table_constraints where table_name = 'keyed' and constraint_name !~ 'not_null' order by 1
bob> select constraint_name, constraint_type from information_schema.table_constraints where table_name = 'keyed' and constraint_name !~ 'not_null' order by 1
bob> select constraint_name, column_name from information_schema.key_column_usage where table_name = 'keyed' order by 1
admin> select constraint_name, column_name from information_schema.key_column_usage where table_name = 'keyed' order by 1
bob> select count(*) from information_schema.constraint_column_usage where table_name = 'keyed'
bob> select count(*) from information_schema.check_constraints where constraint_name = 'positive'
