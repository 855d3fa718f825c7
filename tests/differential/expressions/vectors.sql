-- int2vector and oidvector: arrays whose subscripts begin at 0.
select '1 2 3'::int2vector, '1 2 3'::oidvector, ''::int2vector, '  1   2 '::oidvector
select '1 x'::int2vector
select '1 x'::oidvector
select '1x'::int2vector
select '1x'::oidvector
select '70000'::int2vector
select '4294967296'::oidvector
select '-1'::oidvector
select '-5 -32768 32767'::int2vector
select '{1,2}'::int2vector
select '1,2'::int2vector
select '0x10'::int2vector
select ('1 2 3'::int2vector)[0], ('1 2 3'::int2vector)[1], ('1 2 3'::int2vector)[2], ('1 2 3'::int2vector)[3], ('1 2 3'::int2vector)[-1]
select ('1 2 3'::oidvector)[0], ('1 2 3'::oidvector)[2], ('1 2 3'::oidvector)[3]
select ('1 2 3'::int2vector)[0:1]
select ('1 2 3'::int2vector)[1:]
select ('1 2 3'::int2vector)[:1], pg_typeof(('1 2 3'::int2vector)[:1])
select pg_typeof(('1 2 3'::int2vector)[1]), pg_typeof(('1 2'::oidvector)[0])
select ('1 2 3'::oidvector)[0:1]
select ('1 2 3'::int2vector)[0][0]
select '1 2'::int2vector = '1 2'::int2vector
select '1 2'::oidvector = '1 2'::oidvector, '1 2'::oidvector < '1 3'::oidvector, '2'::oidvector < '1 3'::oidvector
select '1 2'::oidvector <> '1 3'::oidvector, '1 2'::oidvector > '1'::oidvector, '5'::oidvector >= '1 1'::oidvector
select '1 2'::int2vector <> '1 3'::int2vector
select '1 2'::int2vector < '1 3'::int2vector
select '1 2'::int2vector::int2[]
select '1 2'::oidvector::oid[]
select ''::int2vector::int2[]
select '1 2'::int2vector::int4[]
select '1 2'::int2vector::text
select '1 2'::int2vector::text[]
select array[1,2]::int2vector
select '{1,2}'::oid[]::oidvector
select unnest('1 2 3'::int2vector)
select unnest('1 2 3'::oidvector)
select * from unnest('1 2 3'::int2vector) with ordinality
select 1 = any('1 2 3'::int2vector), 5 = any('1 2 3'::int2vector), 1::int2 = any('1 2'::int2vector)
select 2 = any('1 2 3'::oidvector), 2::oid = all('2 2'::oidvector)
select array_length('1 2 3'::int2vector, 1), array_length(''::int2vector, 1), array_length('1 2'::oidvector, 2)
select array_lower('1 2 3'::int2vector, 1), array_upper('1 2 3'::int2vector, 1), array_ndims('1 2'::int2vector), array_dims('1 2 3'::int2vector), cardinality('1 2 3'::int2vector)
select array_ndims(''::int2vector), array_dims(''::int2vector), cardinality(''::int2vector)
select array_lower(''::oidvector, 1), array_upper(''::oidvector, 1)
select array_to_string('1 2 3'::int2vector, ',')
select array_position('1 2 3'::int2vector, 2::int2)
select array_positions('1 2 1'::int2vector, 1::int2)
select array_append('1 2'::int2vector, 3::int2)
select array_prepend(0::int2, '1 2'::int2vector)
select '1 2'::int2vector || 3::int2
select '1 2'::int2vector || '3 4'::int2vector
select 0::int2 || '3 4'::int2vector
select array_cat('1 2'::int2vector, '3 4'::int2vector)
select array_remove('1 2 1'::int2vector, 1::int2)
select array_replace('1 2 1'::int2vector, 1::int2, 5::int2)
select '1 2'::int2vector @> '1'::int2vector
select '1 2'::int2vector && '1'::int2vector, '1'::int2vector <@ '1 2'::int2vector
select generate_subscripts('1 2 3'::int2vector, 1)
select array['1 2'::int2vector, '3 4'::int2vector]
select array['1 2'::oidvector]
select array_agg('1 2'::int2vector)
select array_agg(v) from (values ('1 2'::int2vector), ('3')) x(v)
select '{"1 2","3 4"}'::int2vector[]
select ('{"1 2","3 4"}'::int2vector[])[1]
select ('{"1 2","3 4"}'::int2vector[])[1][1]
select ('{"1 2","3 4"}'::int2vector[])[2][0]
select (('{"1 2","3 4"}'::int2vector[])[2])[0]
select array_length('{"1 2","3 4"}'::int2vector[], 1)
select unnest('{"1 2","3 4"}'::int2vector[])
select to_json('1 2'::int2vector), to_jsonb('3'::oidvector), row_to_json(row('1 2'::int2vector))
select jsonb_build_object('a', '1 2'::int2vector)
select distinct v from (values ('1 2'::int2vector), ('1 2')) x(v)
select distinct v from (values ('1 2'::oidvector), ('1 2')) x(v)
select '1 2'::int2vector in ('1 2'::int2vector, '3'::int2vector)
select '1 2'::int2vector is distinct from '1 2'::int2vector
select coalesce(null::int2vector, '1')
select case when true then '1 2'::int2vector else '3' end
select '1 2'::int2vector union select '1 2'
select row('1 2'::int2vector) = row('1 2'::int2vector)
select row('1 2'::oidvector) < row('1 3'::oidvector)
select nullif('1 2'::int2vector, '1 2')
select pg_column_size('1 2'::int2vector)
select array_ndims('1 2'::int2vector::int2[]), array_lower('1 2'::int2vector::int2[], 1)
select ('1 2'::int2vector::int2[])[1], ('1 2'::int2vector::int2[])[0]
select '1 2'::int2vector = '{1,2}'::int2[]
select '1 2'::int2vector::int2[] = '{1,2}'::int2[]
select '[0:1]={1,2}'::int2[]::int2vector
select trim_array('1 2 3'::int2vector, 1)
select array_fill('1 2'::int2vector, array[2])
select string_to_array('1 2', ' ')::int2[]::int2vector
select '1 2'::int2vector::varchar, '1 2'::int2vector::varchar(2), cast('1 2' as text)::int2vector
select quote_literal('1 2'::int2vector), concat('1 2'::int2vector, 'x'), format('%s', '1 2'::int2vector), '1 2'::int2vector || 'x'::text
select length('1 2'::int2vector)
select 1 <> all('1 2'::int2vector)
select any_value from (select 3 in (select unnest('1 2 3'::int2vector)) any_value) s
select ('1 2 3'::int2vector)[1.5]
select ('1 2 3'::int2vector)['x']
select ('1 2 3'::int2vector)[null]
select array[1,2]::int2vector
select (array[1,2]::int2vector)[0], (array[1,2]::int2vector)[1]
select array[]::int2vector
select array[array[1],array[2]]::int2vector
select array_agg('1 2'::int2vector)
select max('1 2'::int2vector)
select json_agg('1 2'::int2vector), array_to_json('1 2'::int2vector)
select * from (values ('1 2'::oidvector), ('1'), ('3')) x(v) join (values ('3'::oidvector)) y(v) using (v)
select v from (values ('1 2'::int2vector), ('3')) x(v) except select '3'
select row_number() over (partition by v order by v) from (values ('1 2'::oidvector), ('3')) x(v)
select array_position(null::int2vector, 1::int2), array_lower(null::int2vector, 1), (null::int2vector)[0], (null::int2vector)[0:1]
select array_position('1 2 1'::int2vector, 1::int2, 1), array_position('{1,2,1}'::int[], 1, 0), array_position('{1,2,1}'::int[], 1, 2), array_position('1 2'::int2vector, 1::int2, -3)
select generate_subscripts('1 2 3'::int2vector, 1, true), generate_subscripts('{5,6}'::int[], 1, true)
select generate_subscripts('{{1,2},{3,4}}'::int[], 2), generate_subscripts('1'::int2vector, 2)
select pg_typeof(unnest('1 2'::oidvector)), pg_typeof(trim_array('1 2'::oidvector, 1)), pg_typeof('1 2'::int2vector || 3::int2)
select '1 2'::int2vector::oidvector
select '1 2'::oidvector::int2vector
select 'x'::text = any('1 2'::int2vector::text[])
select '{1,2}'::text::int2vector
select '1 2'::text::int2vector
select 2 = any(indkey) from (select '1 2'::int2vector indkey) s
select string_agg(x::text, ',') from unnest('5 6'::oidvector) x
select '1 2'::oidvector = '{1,2}'::oid[]
select '1 2'::int2vector <@ '{1,2}'::int2[]
select array_cat('1 2'::int2vector, '{3}'::int2[])
select array_cat('{3}'::int2[], '1 2'::int2vector)
select array_cat('{}'::int2[], '1 2'::int2vector), array_cat('1 2'::int2vector, '{}'), array_append(''::int2vector, 1::int2)
select json_build_array('1 2'::int2vector, '3'::oidvector), to_jsonb('{"1 2"}'::int2vector[])
