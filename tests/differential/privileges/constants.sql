-- What never runs needs no right; what cannot be computed comes before a right that is missing.
admin> create table secret (a int, b int)
admin> insert into secret values (1,2)
alice> select 1 where false and exists (select * from secret)
alice> select case when false then (select a from secret) else 1 end
alice> select case when true then 1 else (select a from secret) end
alice> select coalesce(1, (select a from secret))
alice> select 1 where false and (select a from secret) = 1
alice> select 1 where true or (select a from secret) = 1
alice> select 1 from (select 1) x where false and exists (select 1 from secret)
alice> select * from secret where false
alice> with q as (select * from secret) select 1
alice> select (select 1 from secret) limit 0
alice> select 1 where 1 = 2 and 1 in (select a from secret)
alice> select case when 1=2 then (select count(*) from secret) end
alice> explain (costs off) select case when 1=2 then (select count(*) from secret) end
alice> select case when false then 1/0 else 1 end
alice> select case when false then (select 1/0) else 1 end
alice> select coalesce(1, (select 1/0))
alice> select coalesce(null::int, (select a from secret))
alice> select nullif(1, (select a from secret))
alice> select 1 from (select case when false then (select a from secret) end) x
alice> select 1 from (select * from secret where false) x
alice> select 1 from secret limit 0
alice> select greatest(1, case when false then (select a from secret) end)
alice> select array(select a from secret where false)
alice> select false and exists(select 1 from secret)
alice> select null::bool and exists(select 1 from secret)
alice> select true or exists(select 1 from secret)
alice> select 1 union all select a from secret where false
alice> select 1 where false union all select a from secret
alice> select case when false then (with q as (select a from secret) select a from q) end
-- before the right is missed
alice> select 1/0 from secret
alice> select a from secret where 1/0 = 1
alice> insert into secret values (1/0, 1)
alice> delete from secret where 1/0 = 1
alice> explain select 1/0 from secret
-- what goes away in one place and stays in another is needed
alice> select case (select a from secret) when null::int then 1 when 2 then 3 end
alice> select case when false then (select a from secret) else (select b from secret) end
alice> select coalesce(null::int + (select a from secret), (select a from secret))
alice> select null::int + (select a from secret)
alice> select 1 where false and a = 1 and exists (select 1 from secret s where s.a = t.a) from (select 1) t (a)
alice> select 1 from (select 1) t (a) where false and exists (select 1 from secret s where s.a = t.a)
alice> select 1 from (select 1) t (a) where a in (select a from secret) and false
alice> select 1 from (select 1) t (a) where 5 in (select a from secret) and false
alice> select 1 from (select 1) t (a) where null and 5 in (select a from secret)
alice> select 1 where exists (select 1 from secret) and false
alice> with q as materialized (select a from secret) select case when false then (select a from q) end
-- functions
admin> create function f() returns int language sql security definer as 'select 1'
admin> revoke execute on function f() from public
alice> select case when false then f() end
alice> select 1 where false and f() = 1
alice> select coalesce(1, f())
alice> select f() where false
alice> select case f() when null::int then 1 when 2 then 3 end
alice> select case when false then f() else f() end
alice> prepare p(int) as select $1
alice> select case when false then (select f()) end
alice> select case when false then (select a from secret where f() = 1) end, f()
