-- What is printed.
' strict $ . a [ 1 , 2 to last ] . "b c" '::jsonpath
'$.a[*] ? (@.x > 1 && (@.y == "z" || !(exists (@.q))))'::jsonpath
'($.a + 1) * -2 / ($b % 3)'::jsonpath
'-(-1 + +$.a)'::jsonpath
'(1).type()'::jsonpath
'$.**{2 to last}.**{last}.**{3}.**'::jsonpath
'$ ? (@ like_regex "a.b" flag "qismi")'::jsonpath
'$ ? ((@ starts with $"a b") is unknown)'::jsonpath
'$.to.null.datetime.datetime().datetime("YYYY")'::jsonpath
'"\x41\u0042\u{43}\ud834\udd1e\t\q"'::jsonpath
'1.5e3 + .5 - 00012345678901234567890.10'::jsonpath
'$ /* a comment */ . /**/ a'::jsonpath
'TRUE'::jsonpath
'$ ? (@ <> Null)'::jsonpath
-- What is refused.
''::jsonpath
'strict'::jsonpath
'$.'::jsonpath
'@'::jsonpath
'$ ? (@[last] > last)'::jsonpath
'1a'::jsonpath
'1e'::jsonpath
'"abc'::jsonpath
'$.a /* '::jsonpath
'"\u12"'::jsonpath
'"\ud834"'::jsonpath
'"\u0000"'::jsonpath
'1 == 2 == 3'::jsonpath
'(1 == 2) + 1'::jsonpath
'1 + (2 == 3)'::jsonpath
'!(1)'::jsonpath
'exists($.a == 1)'::jsonpath
'$.a.foo()'::jsonpath
'$.**{5000000000}'::jsonpath
'$ ? (@ like_regex "(")'::jsonpath
'$ ? (@ like_regex "a" flag "y")'::jsonpath
'$ ? (@ like_regex "a" flag "x")'::jsonpath
'$ ? (@ starts with 1)'::jsonpath
-- Accessors, lax and strict.
jsonb_path_query_array('{"a": [1, {"b": 2}, [3]], "c": null}', '$.*')
jsonb_path_query_array('{"a": [1, {"b": 2}, [3]]}', '$.a.b')
jsonb_path_query_array('{"a": [1, {"b": 2}, [3]]}', 'strict $.a.b')
jsonb_path_query_array('{"a": [1, {"b": 2}, [3]]}', 'strict $.a.b', silent => true)
jsonb_path_query_array('[1, 2, 3]', '$[last, 0 to 1, 7, -1 to 0, last - 1.9]')
jsonb_path_query_array('[1, 2, 3]', 'strict $[3]')
jsonb_path_query_array('[1, 2, 3]', '$["a"]')
jsonb_path_query_array('[1, 2, 3]', '$[5000000000]')
jsonb_path_query_array('1', '$[0][*][last]')
jsonb_path_query_array('1', 'strict $[0]')
jsonb_path_query_array('[[1, [2]], {"a": [3]}]', '$.**')
jsonb_path_query_array('[[1, [2]], {"a": [3]}]', '$.**{1 to 2}')
jsonb_path_query_array('[[1, [2]], {"a": [3]}]', 'strict $.**{last}')
jsonb_path_query_array('[1, "a", 2]', 'strict $.**.double()', silent => true)
-- Filters, variables, predicates.
jsonb_path_query_array('[1, 2, 3, "4", null]', '$[*] ? (@ >= $min)', '{"min": 2}')
jsonb_path_query('[1]', '$[*] ? (@ >= $min)')
jsonb_path_query('[1]', '$', '[]')
'[1, 2]'::jsonb @? '$[*] ? (@ == $x)'
'{"a": [1, "b"]}'::jsonb @@ '$.a[*] > 0'
'{"a": [1, "b"]}'::jsonb @@ 'strict $.a[*] > 0'
'{"a": 1}'::jsonb @@ '$.a'
jsonb_path_match('{"a": 1}', '$.a')
jsonb_path_match('{"a": 1}', '$.a == 1')
jsonb_path_query_array('["abc", "Abd", "x\ny", 1]', '$[*] ? (@ like_regex "^ab" flag "i")')
jsonb_path_query_array('["a.c", "abc"]', '$[*] ? (@ like_regex "a.c" flag "q")')
jsonb_path_query_array('["x\ny", "xzy"]', '$[*] ? (@ like_regex "x.y")')
jsonb_path_query_array('["abc", "b", 3]', '$[*] ? (@ starts with "a" || @ == 3)')
jsonb_path_query_array('[null, 1, "a", true, [], {}]', '$[*] ? ((@ > 0) is unknown)')
jsonb_path_query_array('[null, 1, "a", true]', '$[*] ? (@ != null)')
'["1", 2]'::jsonb @? '-$[*]'
'["1", 2]'::jsonb @? 'strict -$[*]'
jsonb_path_exists('[]', '$[*]')
jsonb_path_query_first('[1, 2]', '$[*] ? (@ > 5)')
-- Arithmetic and methods.
jsonb_path_query('[1.50, 2]', '$[0] * $[1] / 3 % 1 - 0.1')
jsonb_path_query('[1, 2]', '$[*] + 1')
jsonb_path_query('1', '$ / 0')
jsonb_path_query('["a"]', '-$[*]')
jsonb_path_query_array('[1.5, -2]', '$[*].abs().ceiling()')
jsonb_path_query_array('[1, "1.5e1", 1e400]', '$[*].double()')
jsonb_path_query('"inf"', '$.double()')
jsonb_path_query_array('[[1], {"a": 1}, "b", null]', '$[*].size()')
jsonb_path_query_array('[[1], {"a": 1}, "b", null, 1, true]', '$[*].type()')
jsonb_path_query_array('{"a": {"b": 1.25, "c": [{"d": 1}]}, "xx": "é"}', '$.**.keyvalue()')
jsonb_path_query_array('{"a": {"b": 1}}', '$.keyvalue().value.keyvalue().id')
jsonb_path_query('{"a": 1}', '$x.keyvalue()', '{"x": {"y": 2}}')
-- Dates and times.
jsonb_path_query('"2017-03-10"', '$.datetime()')
jsonb_path_query('"2017-03-10T12:34:56.789+5:30"', '$.datetime()')
jsonb_path_query('"12:34:56 -2"', '$.datetime("HH24:MI:SS TZH")')
jsonb_path_query('"12:34:56.789"', '$.datetime("HH24:MI:SS.FF1").type()')
jsonb_path_query('"10-03-2017 12:34"', '$.datetime("dd-mm-yyyy")')
jsonb_path_query('"10-03"', '$.datetime("dd-mm-yyyy")')
jsonb_path_query('"10+03"', '$.datetime("dd+mm")')
jsonb_path_query('"10"', '$.datetime("TZH")')
jsonb_path_query('"abc"', '$.datetime()')
jsonb_path_query('1', '$.datetime()')
jsonb_path_query_array('["2017-03-10", "2017-03-11 00:00:00", "12:00:00"]', '$[*].datetime() ? (@ < "2017-03-10 12:00:00".datetime())')
jsonb_path_query_array('["2017-03-10", "2017-03-11 00:00:00"]', '$[*].datetime() ? (@ < "2017-03-10 23:00:00+00".datetime())')
jsonb_path_query_array_tz('["2017-03-10", "2017-03-11 00:00:00"]', '$[*].datetime() ? (@ < "2017-03-10 23:00:00+00".datetime())')
jsonb_path_query_tz('"12:00:00"', '$.datetime() < "12:00:00+00".datetime()')
