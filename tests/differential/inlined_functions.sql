create table t (id int primary key, v text)

insert into t values (1, 'a'), (2, 'b')

create function s1() returns setof int stable language sql as 'select id from t'

create function s2() returns setof t stable language sql as 'select * from t'

select x from s1() x order by 1

select s1 from s1() order by 1

select x from s2() x order by 1

select x.v, x.* from s2() x order by 1

select count(x) from s2() x

create function agg(n int) returns setof bigint stable language sql as 'select sum(n) from t'

select a.agg, t.id from t, agg(t.id) a order by 2

create function grp() returns table (k text, c bigint) stable language sql as 'select v, count(*) from t group by v order by 1'

select * from grp()

select k from grp() where c = 1 order by k desc limit 1

create function par(p text) returns setof t stable language sql as 'select * from t where v = p'

select * from t a left join lateral par(a.v) b on true order by 1

select * from par('a') union all select * from par('b') order by 1

select (select count(*) from par(t.v)) from t

select array(select id from s1() id order by 1)

create function lim(n int) returns setof int stable language sql as 'select id from t order by id limit n'

select * from lim(1)

select t.id, l.* from t, lim(t.id) l order by 1, 2

create function two(a int, b int) returns int immutable language sql as 'select a + b * a'

select two(id, id) from t order by 1

select two((random() * 0)::int, 1)

create function nul(a int) returns boolean immutable language sql as 'select a is null'

select nul(null), nul(1)

create function cas(a int) returns text immutable language sql as $$ select case when a > 1 then 'big' else 'small' end $$

select cas(id), count(*) from t group by cas(id) order by 1

select cas(id) from t order by cas(id) desc

create function ex(a int) returns bigint stable language sql as 'select count(*) from t where id >= a'

select id, ex(id) from t where ex(id) > 1 order by id

update t set v = cas(id) where ex(id) > 0 returning *

insert into t select 10 + id, cas(id) from t returning cas(id)

delete from t where cas(id) = 'big' returning id

create function amb(id int) returns bigint stable language sql as 'select count(*) from t where id = id'

select amb(55)

create function amb2(id int) returns bigint stable language sql as 'select count(*) from t where t.id = amb2.id'

select amb2(1), amb2(55)
