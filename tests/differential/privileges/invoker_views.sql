-- A security invoker's view inside an ordinary one: what it reads takes the user's rights, not those of the outer owner.
admin> create schema s
admin> grant usage, create on schema s to alice, bob
admin> grant usage on schema s to carol
admin> create table s.base (a int primary key, b int, c int)
admin> insert into s.base values (1, 2, 3)
alice> create view s.invoker with (security_invoker = true) as select a, b, c from s.base
bob> create view s.outside as select a, b, c from s.invoker
bob> grant select, update on s.outside to carol
alice> grant select, update on s.invoker to bob
bob> select * from s.outside
admin> grant select on s.base to bob
admin> grant update (b) on s.base to bob
bob> select * from s.outside
bob> update s.outside set b = b
bob> update s.outside set c = c
carol> select * from s.outside
carol> update s.outside set b = b
admin> grant select on s.base to carol
admin> grant update (c) on s.base to carol
carol> select * from s.outside
carol> update s.outside set b = b
carol> update s.outside set c = c
admin> revoke all on s.base from bob
carol> select * from s.outside
carol> update s.outside set c = c
bob> select * from s.outside
alice> select * from s.invoker
