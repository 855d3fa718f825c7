-- DROP OWNED drops what is owned, and revokes as the user may who runs it.
admin> grant create on database postgres to alice
admin> create schema shop
admin> grant create, usage on schema shop to alice, bob
alice> create table shop.a (id int primary key, b int)
bob> create table shop.b (id int primary key)
alice> grant select on shop.a to bob with grant option
bob> grant select on shop.a to carol
alice> grant update (b) on shop.a to carol
bob> grant select on shop.b to alice
alice> drop owned by nope
alice> drop owned by current_user, nope
carol> drop owned by carol
admin> select relname, relacl, pg_get_userbyid(relowner) from pg_class where relname in ('a', 'b') order by 1
admin> select attname, attacl from pg_attribute where attrelid = 'shop.a'::regclass and attacl is not null
bob> drop owned by bob restrict
admin> select relname, relacl, pg_get_userbyid(relowner) from pg_class where relname in ('a', 'b') order by 1
admin> select nspname, nspacl from pg_namespace where nspname = 'shop'
alice> create schema mine
alice> grant create, usage on schema mine to bob
bob> create table mine.t (a int)
alice> create table mine.u (a int)
alice> drop owned by alice
alice> drop owned by alice restrict
alice> drop owned by alice cascade
admin> select relname from pg_class where relname in ('a', 'b', 't', 'u') order by 1
admin> select nspname from pg_namespace where nspname in ('shop', 'mine') order by 1
admin> select datacl from pg_database where datname = 'postgres'
alice> alter default privileges grant select on tables to bob
bob> drop owned by bob
admin> select pg_get_userbyid(defaclrole), defaclobjtype, defaclacl from pg_default_acl
alice> drop owned by alice
admin> select count(*) from pg_default_acl
dave> drop owned by dave
dave> drop owned by session_user, current_role
admin> create schema late
admin> grant usage, create on schema late to alice, bob
admin> create table late.t (a int, b int)
admin> grant select (a), update (b) on late.t to bob
admin> grant insert on late.t to alice with grant option
alice> grant insert on late.t to bob, carol
bob> drop owned by bob
alice> drop owned by alice
admin> grant alice, bob to admin
admin> drop owned by alice
admin> select relacl from pg_class where oid = 'late.t'::regclass
admin> drop owned by bob
admin> grant select on late.t to bob
admin> drop owned by bob
admin> select relacl from pg_class where oid = 'late.t'::regclass
admin> select attname, attacl from pg_attribute where attrelid = 'late.t'::regclass and attacl is not null order by 1
