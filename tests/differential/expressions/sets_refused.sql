case when true then generate_series(1,2) end
coalesce(generate_series(1,2), 1)
sum(generate_series(1,2))
rank() over (order by 1) + generate_series(1,2)
select case when exists (select generate_series(1,2)) then 1 end
lag(generate_series(1,2)) over ()
select count(*) from other.public.t
