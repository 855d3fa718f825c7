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
