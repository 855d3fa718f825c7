-- GRANT and REVOKE on tables and columns.
admin> create schema shop
admin> grant usage, create on schema shop to alice
admin> select nspacl from pg_namespace where nspname = 'shop'
alice> create table shop.t (a int, b int, c text)
alice> select relacl from pg_class where relname = 't'
alice> grant select on shop.t to bob
alice> grant insert, update on table shop.t to bob, carol with grant option
alice> select relacl from pg_class where relname = 't'
bob> grant select on shop.t to carol
bob> grant select on all tables in schema shop to carol
admin> grant usage on schema shop to bob, carol, dave
bob> grant select on shop.t to carol
bob> grant insert on shop.t to dave
bob> grant all on shop.t to dave
bob> grant select, insert on shop.t to dave
alice> select relacl from pg_class where relname = 't'
dave> grant select on shop.t to carol
dave> revoke select on shop.t from carol
alice> revoke insert on shop.t from bob
alice> revoke grant option for insert on shop.t from bob
alice> revoke grant option for insert on shop.t from bob cascade
alice> select relacl from pg_class where relname = 't'
alice> revoke insert on shop.t from bob cascade
alice> grant select on shop.t to public with grant option
alice> grant select on shop.t to public
alice> grant delete, truncate, references, trigger on shop.t to public
alice> revoke all privileges on shop.t from public
alice> select relacl from pg_class where relname = 't'
alice> grant usage on shop.t to bob
alice> grant execute on shop.t to bob
alice> grant connect, select on shop.t to bob
alice> grant temp on shop.t to bob
alice> grant nonsense on shop.t to bob
alice> grant rule on shop.t to bob
alice> grant select on shop.nosuch to bob
alice> grant select on nosuch.t to bob
alice> grant select on shop.t to nobody
alice> grant select on shop.t to bob granted by alice
alice> grant select on shop.t to bob granted by current_user
alice> grant select on shop.t to bob granted by bob
alice> grant select on shop.t to current_user, session_user, current_role
alice> grant select on shop.t to none
alice> revoke all on shop.t from alice
alice> select relacl from pg_class where relname = 't'
alice> select has_table_privilege('shop.t', 'select')
alice> grant all on shop.t to alice
alice> revoke all on shop.t from alice, bob, carol, dave
alice> select relacl from pg_class where relname = 't'
-- columns
alice> grant select (a), update (a, b), insert on shop.t to bob
alice> select attname, attacl from pg_attribute where attrelid = 'shop.t'::regclass and attnum > 0
alice> grant select (a) on shop.t to carol with grant option
carol> grant select (a) on shop.t to dave
carol> grant select (b) on shop.t to dave
carol> grant all (a) on shop.t to dave
carol> grant select (a), insert (a) on shop.t to dave
carol> grant select on shop.t to dave
alice> revoke select (a) on shop.t from carol
alice> revoke select on shop.t from carol cascade
alice> select attname, attacl from pg_attribute where attrelid = 'shop.t'::regclass and attnum > 0
alice> grant delete (a) on shop.t to bob
alice> grant select (nosuch) on shop.t to bob
alice> grant select (a), usage on shop.t to bob
alice> grant all (b) on shop.t to bob
alice> grant select (a, a), select (a) on shop.t to bob
alice> revoke all on shop.t from bob
alice> select attname, attacl from pg_attribute where attrelid = 'shop.t'::regclass and attnum > 0
alice> grant update (c) on shop.t to public
alice> grant update on shop.t to bob with grant option
bob> grant update (c) on shop.t to carol
alice> select attname, attacl from pg_attribute where attrelid = 'shop.t'::regclass and attnum > 0
alice> revoke update on shop.t from bob
alice> revoke update on shop.t from bob cascade
alice> select attname, attacl from pg_attribute where attrelid = 'shop.t'::regclass and attnum > 0
-- circles
alice> grant select on shop.t to bob with grant option
bob> grant select on shop.t to carol with grant option
carol> grant select on shop.t to bob with grant option
carol> grant select on shop.t to alice with grant option
carol> revoke select on shop.t from bob
alice> grant select on shop.t to carol with grant option
alice> revoke select on shop.t from bob cascade
alice> select relacl from pg_class where relname = 't'
-- several objects, whole schemas
alice> create table shop.u (a int)
alice> grant select on shop.t, shop.u, shop.t to dave
alice> grant insert on all tables in schema shop to dave
bob> grant insert on shop.t, shop.u to carol
alice> grant insert on all tables in schema nosuch to dave
alice> grant usage on all tables in schema shop to dave
alice> grant select (a) on all tables in schema shop to dave
alice> select relname, relacl from pg_class where relname in ('t', 'u') order by 1
-- what does not fit
alice> create index ti on shop.t (a)
alice> grant select on shop.ti to bob
alice> grant select on sequence shop.t to bob
alice> grant select (a) on schema shop to bob
