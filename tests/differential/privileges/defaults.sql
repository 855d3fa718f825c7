-- ALTER DEFAULT PRIVILEGES, and what new objects get from them.
admin> create schema shop
admin> grant usage, create on schema shop to alice, bob
admin> grant create on schema public to alice
admin> grant create on database postgres to alice
alice> alter default privileges for role nosuch grant select on tables to carol
alice> alter default privileges in schema nosuch grant select on tables to carol
alice> alter default privileges in schema shop grant usage on schemas to carol
alice> alter default privileges grant usage on tables to carol
alice> alter default privileges grant insert on sequences to carol
alice> alter default privileges grant select (a) on tables to carol
alice> alter default privileges grant create on types to carol
alice> alter default privileges grant select on functions to carol
alice> alter default privileges grant nonsense on tables to carol
alice> alter default privileges grant select on tables to nosuch
alice> alter default privileges grant select on tables to public with grant option
alice> alter default privileges grant select on tables to bob with grant option
alice> alter default privileges in schema shop grant all on tables to carol
alice> alter default privileges revoke all on functions from public
alice> alter default privileges in schema shop revoke execute on functions from public
alice> alter default privileges grant execute on functions to public
alice> alter default privileges for role alice, alice grant usage on types to carol
alice> alter default privileges grant create on schemas to carol
alice> alter default privileges grant usage on sequences to carol
alice> select d.defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl from pg_default_acl d order by 2, 3
alice> create table shop.t (a int)
alice> create table t (a int)
bob> create table shop.u (a int)
alice> create schema mine
alice> select relname, relnamespace::regnamespace, relacl from pg_class where relname in ('t', 'u') order by 1, 2
alice> select nspacl from pg_namespace where nspname = 'mine'
alice> alter default privileges revoke grant option for select on tables from bob
alice> alter default privileges in schema shop revoke all on tables from carol
alice> alter default privileges revoke all on tables from alice
alice> create table mine.v (a int)
alice> select relacl from pg_class where relname = 'v'
alice> select defaclobjtype, defaclacl from pg_default_acl order by 1
alice> alter default privileges grant all on tables to alice
alice> alter default privileges revoke select on tables from bob
alice> select defaclobjtype, defaclacl from pg_default_acl order by 1
