-- has_..._privilege, pg_has_role and the functions on aclitem.
admin> create table t (a int, b int, c int)
admin> grant select (a), update (a, b) on t to alice with grant option
admin> grant insert, select on t to bob
admin> grant delete on t to public
admin> grant usage on schema public to alice with grant option
admin> create schema closed
admin> create table closed.u (a int)
admin> create index ti on t (a)
admin> grant bob to carol
alice> select has_table_privilege('t', 'select'), has_table_privilege('bob', 't', 'select'), has_table_privilege('public', 't', 'delete'), has_table_privilege('public', 't', 'select')
alice> select has_table_privilege('carol', 't', 'select, trigger'), has_table_privilege('carol', 't', 'INSERT WITH GRANT OPTION'), has_table_privilege('admin', 't', 'Insert With Grant Option')
alice> select has_table_privilege((select oid from pg_roles where rolname = 'bob'), 't'::regclass, ' truncate , insert ')
alice> select has_any_column_privilege('t', 'select'), has_any_column_privilege('t', 'insert'), has_any_column_privilege('t', 'select with grant option'), has_any_column_privilege('bob', 't', 'insert')
alice> select has_column_privilege('t', 'a', 'select'), has_column_privilege('t', 'b', 'select'), has_column_privilege('t', 2::int2, 'update with grant option'), has_column_privilege('bob', 't', 'c', 'select, references')
alice> select has_table_privilege('nobody', 't', 'select')
alice> select has_table_privilege(12345, 't'::regclass, 'select'), has_table_privilege(12345, 't'::regclass, 'delete')
alice> select has_table_privilege('alice', 99999::oid, 'select'), has_table_privilege(99999::oid, 'select')
alice> select has_table_privilege('nosuch', 'select')
alice> select has_table_privilege('nosuch.t', 'select')
alice> select has_table_privilege('a.b.c.d', 'select')
alice> select has_table_privilege('other.public.t', 'select')
alice> select has_table_privilege('postgres.public.t', 'select')
alice> select has_table_privilege('closed.u', 'select')
alice> select has_table_privilege('t', 'nonsense')
alice> select has_table_privilege('t', 'select,')
alice> select has_table_privilege('t', '')
alice> select has_table_privilege('t', 'select with  grant option')
alice> select has_table_privilege('t', 'usage')
alice> select has_table_privilege('t', 'rule')
alice> select has_table_privilege('t', null), has_table_privilege(null::text, 'select')
alice> select has_table_privilege('ti', 'select'), has_table_privilege('admin', 'ti', 'select')
alice> select has_table_privilege('pg_class', 'select'), has_table_privilege('pg_class', 'insert'), has_table_privilege('information_schema.tables', 'select'), has_any_column_privilege('pg_class', 'select')
alice> select has_column_privilege('t', 'nosuch', 'select')
alice> select has_column_privilege('t', 9::int2, 'select'), has_column_privilege(99999::oid, 'a', 'select'), has_column_privilege(99999::oid, 1::int2, 'select')
alice> select has_column_privilege('t', 'a', 'delete')
alice> select has_any_column_privilege('t', 'delete')
alice> select has_column_privilege('bob', 't', 'ctid', 'select'), has_column_privilege('pg_class', 'relname', 'select')
alice> select has_sequence_privilege('t', 'usage')
alice> select has_sequence_privilege('ti', 'usage')
alice> select has_sequence_privilege('t'::regclass, 'usage')
alice> select has_sequence_privilege(99999::oid, 'usage')
alice> select has_sequence_privilege('nosuch', 'usage')
alice> select has_sequence_privilege('t', 'insert')
alice> select has_schema_privilege('nosuch', 'usage')
alice> select has_schema_privilege(99999::oid, 'usage')
alice> select has_schema_privilege('public', 'usage with grant option'), has_schema_privilege('public', 'create'), has_schema_privilege('closed', 'usage, create'), has_schema_privilege('pg_catalog', 'usage')
alice> select has_schema_privilege('public', 'select')
alice> select has_database_privilege('postgres', 'connect'), has_database_privilege('postgres', 'temp, create'), has_database_privilege('postgres', 'create'), has_database_privilege('admin', 'postgres', 'create with grant option')
alice> select has_database_privilege('nosuch', 'connect')
alice> select has_database_privilege(99999::oid, 'connect')
alice> select has_function_privilege('now()', 'execute'), has_function_privilege('abs(int4)', 'execute with grant option'), has_function_privilege('pg_catalog.abs(numeric)', 'execute')
alice> select has_function_privilege('now', 'execute')
alice> select has_function_privilege('nosuch()', 'execute')
alice> select has_function_privilege('nosuch.f()', 'execute')
alice> select has_function_privilege('abs(nosuch)', 'execute')
alice> select has_function_privilege('now(', 'execute')
alice> select has_function_privilege(99999::oid, 'execute')
alice> select has_language_privilege('sql', 'usage'), has_language_privilege(99999::oid, 'usage')
alice> select has_language_privilege('nosuch', 'usage')
alice> select has_type_privilege('int4', 'usage'), has_type_privilege('int4[]', 'usage'), has_type_privilege('double precision', 'usage'), has_type_privilege(99999::oid, 'usage')
alice> select has_type_privilege('nosuch', 'usage')
alice> select has_type_privilege('nosuch.t', 'usage')
alice> select has_type_privilege('int4', 'create')
alice> select has_tablespace_privilege('pg_default', 'create'), has_tablespace_privilege(99999::oid, 'create')
alice> select has_tablespace_privilege('nosuch', 'create')
alice> select has_server_privilege('nosuch', 'usage')
alice> select has_server_privilege(99999::oid, 'usage'), has_foreign_data_wrapper_privilege(99999::oid, 'usage')
alice> select has_foreign_data_wrapper_privilege('nosuch', 'usage')
alice> select has_parameter_privilege('work_mem', 'set'), has_parameter_privilege('nosuch', 'alter system, set')
alice> select has_parameter_privilege('work_mem', 'nonsense')
carol> select pg_has_role('bob', 'usage'), pg_has_role('bob', 'member'), pg_has_role('carol', 'bob', 'usage, member'), pg_has_role('bob', 'carol', 'member'), pg_has_role('bob', 'member with admin option')
carol> select pg_has_role('carol', 'usage'), pg_has_role('nobody', 'usage')
carol> select pg_has_role('public', 'bob', 'usage')
carol> select pg_has_role('bob', 'public', 'usage')
carol> select pg_has_role('bob', 'nonsense')
carol> select pg_has_role(12345::oid, 'bob'::regrole, 'usage'), pg_has_role('bob'::regrole, 12345::oid, 'usage'), pg_has_role('bob'::name, 'bob'::regrole, 'usage with grant option')
-- aclitem
alice> select '=r/bob'::aclitem, 'alice=r*w/bob'::aclitem, ' group bob =arwdDxtXUCTcsA/ alice '::aclitem, '{=r/bob,alice=w*/bob}'::aclitem[]
alice> select '=r/nobody'::aclitem
alice> select 'alice=q/bob'::aclitem
alice> select '=r/bob'::aclitem = '=r/bob', '=r/bob'::aclitem = '=rw/bob', '=r/bob'::aclitem <> '=rw/bob'
alice> select '=r/bob'::aclitem < '=r/bob'
alice> select acldefault('r', oid), acldefault('c', oid), acldefault('s', oid), acldefault('d', oid), acldefault('f', oid), acldefault('l', oid), acldefault('L', oid), acldefault('n', oid), acldefault('p', oid), acldefault('t', oid), acldefault('F', oid), acldefault('S', oid), acldefault('T', oid) from pg_roles where rolname = 'bob'
alice> select acldefault('x', 10)
alice> select grantor::regrole, grantee::regrole, privilege_type, is_grantable from aclexplode('{=r/bob,bob=r*w*sA/bob}')
alice> select count(*) from aclexplode(null)
alice> select aclexplode('{{=r/bob},{=w/bob}}'::aclitem[])
alice> select aclexplode('{NULL}'::aclitem[])
alice> select makeaclitem('alice'::regrole, 'bob'::regrole, 'select', true), makeaclitem(0, 'bob'::regrole, 'UPDATE', false), makeaclitem('alice'::regrole, 'bob'::regrole, 'ALTER SYSTEM', false)
alice> select makeaclitem(0, 'bob'::regrole, 'select with grant option', true)
alice> select makeaclitem(0, 'bob'::regrole, '', true)
alice> select aclcontains('{=r/bob}', '=r/bob'), '{=rw/bob}'::aclitem[] @> '=r/bob'::aclitem, '{=rw/bob}'::aclitem[] @> '=r*/bob'::aclitem
alice> select aclinsert('{}', '=r/bob')
alice> select '{=r/bob}'::aclitem[] - '=r/bob'::aclitem
alice> select grantee::regrole, privilege_type from pg_class, aclexplode(relacl) where relname = 't' and grantee <> 0 order by grantee::regrole::text, 2
alice> select 'now()'::regprocedure, 'abs(int)'::regprocedure, 'pg_catalog.abs(float8)'::regprocedure::oid
alice> select 'x.nosuch'::regclass
alice> select to_regclass('x.nosuch'), to_regprocedure('nosuch()'), to_regprocedure('now()')
alice> select relacl = relacl, relacl[1] = any(relacl), array_to_string(relacl, ',') ~ '=r' from pg_class where relname = 't'
