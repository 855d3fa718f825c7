-- Functions that are the superuser's alone, and what asks about them.
alice> select pg_read_file('/etc/passwd')
admin> select pg_read_file('/etc/passwd', 0, 10, true)
alice> select pg_read_binary_file('/etc/passwd', 0, 10)
alice> select * from pg_stat_file('/etc/passwd')
alice> select * from pg_ls_dir('/etc') x
alice> select pg_ls_tmpdir(1663)
alice> select lo_import('/etc/passwd')
alice> select pg_reload_conf()
alice> select pg_promote()
alice> select pg_promote(wait_seconds => 3)
alice> select pg_stat_reset()
alice> select pg_read_file('/etc/passwd'), nosuch
alice> select nosuch(pg_read_file('/etc/passwd'))
alice> select pg_read_file(null)
alice> select pg_read_file(1)
alice> select pg_read_file('x') where false
alice> select case when false then pg_read_file('x') end
alice> explain select pg_read_file('x')
alice> copy (select pg_read_file('x')) to stdout
alice> prepare p as select pg_read_file('x')
alice> declare c cursor for select pg_read_file('x')
admin> create table t (a text default pg_read_file('x'))
admin> insert into t default values
admin> insert into t values ('a')
admin> create view v as select pg_read_file('x')
admin> grant select on v to alice
alice> select * from v
admin> create function f() returns text language sql as $$ select pg_read_file('x') $$
alice> select f()
alice> select has_function_privilege('pg_read_file(text)', 'execute'), has_function_privilege('lower(text)', 'execute')
alice> select has_function_privilege('pg_ls_dir(text)', 'execute with grant option')
alice> select count(*) from information_schema.routine_privileges where routine_name = 'pg_read_file'
