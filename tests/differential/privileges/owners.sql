-- OWNER TO, and what dropping a role says about what depends on it.
admin> create schema shop
admin> create table t (a int primary key, b int)
admin> grant select, update on t to alice with grant option
admin> grant insert (b) on t to alice
admin> grant usage on schema shop to alice
admin> grant alice to admin
admin> grant alice to carol
alice> grant select on t to bob
bob> alter table t owner to bob
bob> alter schema shop owner to bob
bob> alter schema nosuch owner to bob
bob> alter database postgres owner to bob
bob> alter database nosuch owner to bob
bob> alter function nosuch(int) owner to bob
bob> alter domain nosuch owner to bob
admin> alter schema shop owner to nobody
admin> alter schema shop owner to current_user
admin> grant create on schema public to alice
admin> alter table t owner to alice
admin> alter schema shop owner to alice
admin> select relacl, relowner::regrole from pg_class where relname = 't'
admin> select attacl from pg_attribute where attrelid = 't'::regclass and attname = 'b'
admin> select nspacl, nspowner::regrole from pg_namespace where nspname = 'shop'
admin> create schema authorization alice
admin> create schema authorization current_user
admin> create schema other authorization session_user
admin> create schema x authorization nobody
admin> create schema pg_x authorization alice
admin> select nspname, nspowner::regrole from pg_namespace where nspname in ('alice', 'admin', 'other') order by 1
admin> drop role bob
admin> drop role alice
admin> drop role dave, nobody
admin> drop role if exists nobody
admin> drop role current_user
alice> grant select on t to public
alice> alter table t owner to session_user
admin> select count(*) from pg_group where groname = 'bob'
admin> select classid::regclass, objsubid, refclassid::regclass, refobjid::regrole, deptype from pg_shdepend where refobjid in ('alice'::regrole, 'bob'::regrole) order by classid::regclass::text, objid, 2, refobjid::regrole::text, 5
