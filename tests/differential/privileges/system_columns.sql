-- The columns that every table has by itself: what is granted on them, and what nobody does with them.
admin> create table t (a int, b int)
admin> insert into t values (1, 2)
admin> grant select (tableoid) on t to alice
admin> grant select (tableoid, ctid), update (xmin), insert (cmin), references (cmax) on t to bob with grant option
admin> grant select (oid) on t to alice
admin> grant all (xmax) on t to carol
admin> revoke all (xmax) on t from carol
admin> grant all (tableoid, a, a, tableoid) on t to carol
admin> grant delete (xmin) on t to carol
alice> select tableoid::regclass from t
alice> select 1 from t where t.tableoid > 0
alice> select tableoid, a from t
alice> select count(*) from t
alice> select t from t
carol> select tableoid = 1, a from t
alice> select has_column_privilege('t', 'tableoid', 'select'), has_column_privilege('t', 'ctid', 'select')
alice> select has_column_privilege('bob', 't', -6::int2, 'select with grant option'), has_column_privilege('bob', 't', 'cmin', 'insert')
alice> select has_any_column_privilege('t', 'select'), has_table_privilege('t', 'select')
alice> select has_column_privilege('t', -7::int2, 'select'), has_column_privilege('t', 0::int2, 'select'), has_column_privilege('t', -1::int2, 'select')
alice> select has_column_privilege('pg_class', -6::int2, 'select'), has_column_privilege('pg_authid', 'tableoid', 'select')
alice> select has_column_privilege('pg_roles', 'tableoid', 'select')
alice> select attname, attnum, attacl::text, atttypid::regtype, attlen, attnotnull, attstattarget from pg_attribute where attrelid = 't'::regclass order by attnum
alice> select attname, attnum from pg_attribute where attrelid = 'pg_class'::regclass and attnum < 2 order by attnum
admin> select column_name, grantor, grantee, privilege_type from information_schema.column_privileges where table_name = 't' order by 1, 2, 3, 4
bob> grant select (tableoid) on t to dave
bob> grant select (tableoid, a) on t to dave
bob> grant all (tableoid) on t to dave
admin> select objid::regclass, objsubid, refobjid::regrole, deptype from pg_shdepend where classid = 'pg_class'::regclass and refobjid::regrole::text <> 'admin' order by 2, 3
admin> revoke select on t from bob
admin> revoke select on t from bob cascade
admin> select attname, attacl::text from pg_attribute where attrelid = 't'::regclass and attacl is not null order by attnum
admin> grant alice to admin
admin> grant create on schema public to alice
admin> alter table t owner to alice
admin> select attname, attacl::text from pg_attribute where attrelid = 't'::regclass and attacl is not null order by attnum
alice> grant select (xmin) on t to dave
dave> drop owned by dave
alice> alter table t add primary key (a)
alice> truncate t
admin> select attname, attacl::text from pg_attribute where attrelid = 't'::regclass and attacl is not null order by attnum
alice> alter table t drop column tableoid
alice> alter table t rename column xmin to b
alice> alter table t rename column a to xmin
alice> alter table t alter tableoid set default 1
alice> alter table t alter tableoid type int
alice> alter table t add column tableoid int
alice> insert into t (tableoid) values (1)
alice> update t set (a, ctid) = (1, 2)
alice> insert into t (a) values (1) on conflict (tableoid) do nothing
alice> create index on t (tableoid)
alice> create index on t (b) include (tableoid)
alice> create index on t ((tableoid::int))
alice> create index on t (b) where tableoid > 0
alice> alter table t add unique (tableoid)
alice> create table u (a int, primary key (tableoid))
alice> create table u (xmin int)
alice> create table u (a int default b)
alice> create table u (a int default tableoid)
alice> analyze t (tableoid)
alice> select tableoid from pg_roles
admin> grant select (tableoid) on pg_class to bob
admin> grant select (tableoid) on pg_roles to bob
