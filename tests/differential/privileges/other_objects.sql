-- GRANT and REVOKE on what is not a table.
admin> create schema shop
admin> grant usage on schema shop to alice
admin> grant create on schema shop to alice with grant option
alice> grant create on schema shop to bob
alice> grant usage, create on schema shop to carol
alice> grant all on schema shop to carol
alice> revoke usage on schema shop from bob
dave> grant usage on schema shop to bob
admin> select nspacl from pg_namespace where nspname = 'shop'
admin> grant select on schema shop to bob
admin> grant usage on schema nosuch to bob
admin> grant usage on schema shop, nosuch to bob
admin> revoke create on schema shop from alice
admin> revoke create on schema shop from alice cascade
admin> select nspacl from pg_namespace where nspname = 'shop'
admin> grant create on database postgres to alice with grant option
alice> grant create on database postgres to bob
alice> grant all on database postgres to bob
bob> grant create on database postgres to carol
admin> select datacl from pg_database where datname = 'postgres'
bob> create schema bobs
dave> create schema daves
admin> revoke create, temp on database postgres from alice, public cascade
admin> select datacl from pg_database where datname = 'postgres'
bob> create schema bobs2
admin> grant select on database postgres to bob
admin> grant create on database nosuch to bob
alice> grant execute on function nosuch(int) to bob
alice> grant execute on function nosuch to bob
alice> grant execute on function nosuch.f() to bob
alice> grant execute on function f(nosuch) to bob
alice> grant execute on function f(int[], text) to bob
alice> grant execute on procedure p(int) to bob
alice> grant execute on procedure p to bob
alice> grant execute on routine r(int) to bob
alice> grant execute on routine r to bob
alice> grant usage on type nosuch to bob
alice> grant usage on domain nosuch to bob
alice> grant usage on domain int4 to bob
alice> grant usage on type nosuch.t to bob
alice> grant usage on sequence nosuch to bob
alice> grant usage on sequence nosuch.s to bob
alice> grant usage on language nosuch to bob
alice> grant create on tablespace nosuch to bob
alice> grant create on tablespace pg_default to bob
alice> grant usage on foreign server nosuch to bob
alice> grant usage on foreign data wrapper nosuch to bob
alice> grant select on large object 5 to bob
alice> grant set on parameter work_mem to bob
alice> grant usage on all sequences in schema public to bob
alice> grant execute on all functions in schema public to bob
alice> grant execute on all procedures in schema public to bob
alice> grant execute on all routines in schema public to bob
alice> grant select on all functions in schema public to bob
