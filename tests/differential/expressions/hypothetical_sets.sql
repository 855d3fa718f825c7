rank(3) within group (order by x) from generate_series(1,6) x
rank(3.5) within group (order by x) from generate_series(1,6) x
rank('4') within group (order by x desc) from generate_series(1,6) x
dense_rank(3) within group (order by x) from (values (1),(1),(2),(2),(3),(3),(4)) v(x)
dense_rank(3) within group (order by x desc) from (values (1),(1),(2),(2),(4),(4),(null)) v(x)
percent_rank(3) within group (order by x) from (values (1),(1),(2),(2),(3),(3),(4)) v(x)
percent_rank(3) within group (order by x) from generate_series(1,0) x
cume_dist(3) within group (order by x) from (values (1),(1),(2),(2),(3),(3),(4)) v(x)
cume_dist(3) within group (order by x) from generate_series(1,0) x
rank(null) within group (order by x) from (values (1),(null),(2)) v(x)
rank(null) within group (order by x nulls first) from (values (1),(null),(2)) v(x)
rank(1) within group (order by x nulls first) from (values (1),(null),(2)) v(x)
cume_dist(null) within group (order by x desc) from (values (1),(null),(2)) v(x)
rank(3, 'a') within group (order by x, y desc) from (values (1,'a'),(3,'b'),(3,'a')) v(x,y)
rank(3) filter (where x > 1) within group (order by x) from generate_series(1,6) x
rank(3) within group (order by x) filter (where x > 1) from generate_series(1,6) x
select rank(g) within group (order by x) from (values (1,1),(1,0),(2,1)) v(g,x) group by g order by 1
rank(x) within group (order by x) from generate_series(1,6) x
rank(3) within group (order by x, x) from generate_series(1,6) x
rank('fred') within group (order by x) from generate_series(1,6) x
rank(sum(x)) within group (order by x) from generate_series(1,6) x
rank(3) within group (order by x) + 1 from generate_series(1,6) x
