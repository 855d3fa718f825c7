'{"a": 1}'::json
'{"a":1,"a":2, "b":[1,2 ]}'::json
'{"a":1,"a":2, "bb":[1,2.50,1e3], "c":null, "ab":"x\u0041\n"}'::jsonb
'{a}'::json
'[1,'::jsonb
''::json
'"\u0000"'::jsonb
'nul'::json
'01'::json
'[1,2,3]'::json -> 2
'{"a": {"b":"foo"}}'::json -> 'a'
'{"a": {"b": [1, 2]}}'::json -> 'a' ->> 'b'
'[1,2,3]'::json -> -1
'[1,2,3]'::json ->> 2
'{"a":1,"b":"x"}'::json ->> 'b'
'{"a":null}'::json ->> 'a'
'{"a":null}'::jsonb -> 'a'
'{"a":null}'::jsonb ->> 'a'
'{"a": {"b":["foo","bar"]}}'::json #> '{a,b,1}'
'{"a": {"b":["foo","bar"]}}'::json #>> '{a,b,1}'
'{"a": {"b":["foo","bar"]}}'::jsonb #> '{a,b,-1}'
'{"a": {"b":["foo","bar"]}}'::jsonb #>> '{a,b,5}'
'{"a":1, "b":2}'::jsonb @> '{"b":2}'::jsonb
'{"b":2}'::jsonb <@ '{"a":1, "b":2}'::jsonb
'[1,2,[1,3]]'::jsonb @> '[[1]]'
'["foo"]'::jsonb @> '"foo"'
'"foo"'::jsonb @> '["foo"]'
'{"a":[1,2]}'::jsonb @> '{"a":[2]}'
'{"a":1.0}'::jsonb @> '{"a":1}'
'{"a":1, "b":2}'::jsonb ? 'b'
'["a","b"]'::jsonb ? 'b'
'"b"'::jsonb ? 'b'
'{"a":1, "b":2, "c":3}'::jsonb ?| array['b', 'd']
'["a", "b", "c"]'::jsonb ?& array['a', 'b']
'["a", "b"]'::jsonb || '["a", "d"]'::jsonb
'{"a": "b"}'::jsonb || '{"c": "d"}'::jsonb
'[1, 2]'::jsonb || '3'::jsonb
'{"a": "b"}'::jsonb || '42'::jsonb
'{"a": "b", "c": "d"}'::jsonb - 'a'
'["a", "b", "c", "b"]'::jsonb - 'b'
'{"a": "b", "c": "d"}'::jsonb - '{a,c}'::text[]
'["a", "b"]'::jsonb - 1
'{"a": "b"}'::jsonb - 1
'["a", {"b":1}]'::jsonb #- '{1,b}'
'1'::jsonb = '1.0'::jsonb
'{"a":1}'::jsonb < '{"a":2}'::jsonb
'[1]'::jsonb < '{}'::jsonb
'"a"'::jsonb < '1'::jsonb
'[]'::jsonb < '1'::jsonb
'true'::jsonb = '1'::jsonb
to_json('Fred said "Hi."'::text)
to_json(1.50)
to_json(now()::date = current_date)
to_json(timestamp '2001-02-03 04:05:06')
to_json(timestamptz '2001-02-03 04:05:06')
to_json(date '2001-02-03')
to_json(interval '1 day')
to_json(array[[1,2],[3,4]])
to_json(array['a',null,'b'])
to_json('NaN'::float8)
to_json(1e20::float8)
to_jsonb(1.50)
to_jsonb(array[1,2])
to_jsonb('x'::text)
to_json('{"a" : 1}'::jsonb)
to_jsonb('{"a" : 1}'::json)
array_to_json('{{1,5},{99,100}}'::int[])
array_to_json('{{1,5},{99,100}}'::int[], true)
json_build_array(1, 2, 'foo', 4, 5, null, true)
jsonb_build_array(1, 2, 'foo', null)
json_build_object('foo', 1, 2, 'bar')
jsonb_build_object('foo', 1, 'bar', array[1,2], 'n', null)
json_build_object('a')
json_build_object('a', json_build_object('b', 1))
jsonb_build_object(null, 1)
json_build_object()
json_build_array()
json_object('{a, 1, b, "def", c, 3.5}')
json_object('{{a, 1}, {b, "def"}}')
json_object('{a, b}', '{1,2}')
jsonb_object('{a, 1, b, null}')
json_object('{a}')
json_array_length('[1,2,3,{"f1":1,"f2":[5,6]},4]')
jsonb_array_length('{}')
select json_array_elements('[1,true, [2,false]]')
select jsonb_array_elements('[1,true, [2,false]]')
select json_array_elements_text('["foo", null, "bar"]')
select jsonb_array_elements_text('["foo", null, 1.50]')
select jsonb_array_elements('{"a":1}')
select json_object_keys('{"f1":"abc","f2":{"f3":"a", "f4":"b"}}')
select jsonb_object_keys('{"bb":1,"a":2,"c":3}')
select key from json_each('{"a":"foo", "b":"bar"}')
select value from json_each_text('{"a":"foo", "b":null}')
select value from jsonb_each('{"a":"foo", "b":[1, 2]}')
json_extract_path('{"f2":{"f3":1},"f4":{"f5":99,"f6":"foo"}}', 'f4', 'f6')
json_extract_path_text('{"f2":{"f3":1},"f4":{"f5":99,"f6":"foo"}}', 'f4', 'f6')
jsonb_extract_path('{"a":[1,{"b":2}]}', 'a', '1', 'b')
json_strip_nulls('[{"f1":1, "f2":null}, 2, null, 3]')
jsonb_strip_nulls('{"f1":1, "f2":null, "f3":[null]}')
json_typeof('-123.4')
json_typeof('null')
jsonb_typeof('{"a":1}')
jsonb_typeof('[]')
jsonb_typeof('"x"')
jsonb_set('[{"f1":1,"f2":null},2,null,3]', '{0,f1}', '[2,3,4]', false)
jsonb_set('[{"f1":1,"f2":null},2]', '{0,f3}', '[2,3,4]')
jsonb_set('{"a":1}', '{b}', '2')
jsonb_set('{"a":1}', '{b,c}', '2')
jsonb_set('[1,2]', '{5}', '9')
jsonb_set('[1,2]', '{-5}', '9')
jsonb_set('[1,2]', '{a}', '9')
jsonb_set('1', '{a}', '9')
jsonb_set_lax('{"a":1}', '{a}', null)
jsonb_set_lax('{"a":1}', '{a}', null, true, 'delete_key')
jsonb_insert('{"a": [0,1,2]}', '{a, 1}', '"new_value"')
jsonb_insert('{"a": [0,1,2]}', '{a, 1}', '"new_value"', true)
jsonb_insert('{"a":1}', '{a}', '2')
jsonb_pretty('[{"f1":1,"f2":null}, 2, []]')
jsonb_pretty('{}')
row_to_json(row(1, 'foo', null))
row_to_json(row(1, row(2, 'x')))
'5'::jsonb::int
'"x"'::jsonb::int
'1.6'::jsonb::int
'true'::jsonb::bool
'1.5'::jsonb::numeric
'{"a":1}'::json::jsonb
'{"a":1}'::jsonb::text
'{"a":1}'::jsonb::json
1::jsonb
'{"b":1,"a":2}'::jsonb
'[1, "a", null, true, {"x": []}]'::jsonb
'"é\u00e9\t"'::jsonb
'123456789012345678901234567890.12345'::jsonb
'1e5'::jsonb
'1E-5'::jsonb
'-0'::jsonb
'1.10'::jsonb
array[1,2,3]
array[1,2.5,null]
array['a','b c','d"e','NULL',null,'']
array[array[1,2],array[3,4]]
array[]::int[]
array[1,'a']
array[]
'{1,2,3}'::int[]
'{{1,2},{3,4}}'::int[]
'{a,"b,c",NULL,"NULL"}'::text[]
'{1,2'::int[]
'1,2'::int[]
'{1,x}'::int[]
'{{1,2},{3}}'::int[]
'{}'::int[]
array[1,2] || array[3]
array[1,2] || 3
0 || array[1,2]
array[[1,2]] || array[3,4]
array[1,2] || null
array[1] || '{2}'
array[1,4,3] @> array[3,1]
array[2,7] <@ array[1,7,4,2,6]
array[1,4,3] && array[2,1]
array[1,2,3] = array[1,2,3]
array[1,2,3] < array[1,2,4]
array[1,2] < array[1,2,3]
array[1,2,3] = array['1','2','3']
array[1,null] = array[1,null]
array[1.0,2] = array[1,2]
array_append(array[1,2], 3)
array_append(null::int[], 3)
array_append(array[1,2], 3.5)
array_prepend(1, array[2,3])
array_cat(array[1,2,3], array[4,5])
array_cat(array[[1,2]], array[3,4])
array_cat(array[[1,2]], array[3,4,5])
array_ndims(array[[1,2,3],[4,5,6]])
array_dims(array[[1,2,3],[4,5,6]])
array_length(array[1,2,3], 1)
array_length(array[]::int[], 1)
array_length(array[[1,2],[3,4]], 2)
array_lower(array[1,2], 1)
array_upper(array[1,8,3,7], 1)
array_position(array['sun','mon','tue','wed'], 'mon')
array_position(array[1,2,3,2], 2, 3)
array_position(array[1,null], null)
array_positions(array['A','A','B','A'], 'A')
array_remove(array[1,2,3,2], 2)
array_remove(array[1,null,3], null)
array_replace(array[1,2,5,4], 5, 3)
array_fill(11, array[2,3])
array_fill(7, array[]::int[])
trim_array(array[1,2,3,4,5,6], 2)
trim_array(array[1,2], 3)
cardinality(array[[1,2],[3,4]])
cardinality(array[]::int[])
select unnest(array[1,2,null])
select unnest(array[['foo','bar'],['baz','quux']])
select generate_subscripts(array[4,5,6], 1)
(array[1,2,3])[2]
(array[1,2,3])[2:3]
(array[[1,2],[3,4]])[2][1]
(array[1,2,3])[5]
1 = any(array[1,2])
5 > all(array[1,2])
array['2001-01-01'::date, '2001-01-02']
array[1,2]::text
array[1,2]::text[]
'{1,2}'::text::int[]
array['1','2']::int[]
array[1.5,2.5]::int[]
array[true,false]
array['2001-02-03 04:05:06'::timestamp]
array['\x12'::bytea]
array[1,2]::numeric(5,2)[]
num_nulls(1, null, 2)
num_nonnulls(1, null, 2)
'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid
'{a0eebc999c0b4ef8bb6d6bb9bd380a11}'::uuid
'xyz'::uuid
'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid < 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'
pg_typeof(gen_random_uuid())
row(1, 'a', null)
row(1, 'a b', '')
row(1, 2) = row(1, 2)
row(1, 2) < row(1, 3)
pg_size_pretty(12345678::int8)
pg_size_pretty(10239::int8)
pg_size_pretty(10240::int8)
pg_size_pretty(-12345678.5)
pg_size_bytes('1.5 GB')
pg_size_bytes('foo')
current_user
current_schema
current_schemas(false)
pg_client_encoding()
pg_column_size(1)
pg_column_size('{1,2,3}'::int4[]), pg_column_size('{}'::int4[]), pg_column_size('{{1,2},{3,4}}'::int8[]), pg_column_size('{1,null,3}'::int2[]), pg_column_size('{t,f,t}'::bool[]), pg_column_size('{a,b}'::name[]), pg_column_size('{10:00+01,11:00+02}'::timetz[])
'192.168.0.1/24'::inet
'::1'::inet
'300.1.1.1'::inet
'0/16B3748'::pg_lsn
int4 '1'
'1'::int4::regtype
'integer'::regtype
'(1,2)'::tid
jsonb_pretty('{"a": [1, {"b": {}}, []], "c": "x", "d": {"e": null}}')
jsonb_pretty('[]')
jsonb_pretty('"x"')
jsonb_pretty('[[[{"a": [[]]}]]]')
array[array[array[array[array[array[1]]]]]]
array[array[array[array[array[array[array[1]]]]]]]
array[array['{{{{{1}}}}}'::int[]]]
'1'::jsonb -> 0
'"x"'::jsonb -> -1
'null'::jsonb ->> 0
'1'::jsonb -> 1
'1'::json -> 0
