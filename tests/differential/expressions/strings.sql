lower('ABC')
upper('abc')
initcap('hello wORLD foo-bar 1abc')
length('jose')
length('a  '::char(5))
char_length('hello')
octet_length('héllo')
bit_length('abc')
substring('Thomas' from 2 for 3)
substring('Thomas' from -1 for 3)
substring('Thomas' from 3)
substring('Thomas', 2, -1)
substring('Thomas' from '...$')
substring('Thomas' from '(m)(a)')
substring('Thomas' similar '%#"o_a#"_' escape '#')
substr('alphabet', 3, 2)
substr('alphabet', 0, 3)
position('om' in 'Thomas')
position('' in 'x')
strpos('high', 'ig')
trim('  x ')
trim(both 'xyz' from 'yxTomxx')
trim(leading 'x' from 'xxTom')
ltrim('zzzytest', 'xyz')
rtrim('testxxzx', 'xyz')
btrim('xyxtrimyyx', 'xyz')
lpad('hi', 5, 'xy')
lpad('hello', 3)
rpad('hi', 5)
rpad('hi', 5, '')
lpad('hi', -1)
replace('abcdefabcdef', 'cd', 'XX')
replace('abc', '', 'x')
split_part('abc~@~def~@~ghi', '~@~', 2)
split_part('a,b,c', ',', -1)
split_part('a,b', ',', 0)
split_part('a,b', ',', 5)
translate('12345', '143', 'ax')
left('abcde', 2)
left('abcde', -2)
right('abcde', 2)
right('abcde', -2)
right('abcde', 0)
repeat('Pg', 4)
repeat('Pg', -1)
reverse('abcde')
ascii('x')
ascii('')
ascii('é')
chr(65)
chr(0)
chr(233)
chr(-1)
concat('abcde', 2, null, 22)
concat(1.5, true, null, '2020-01-01'::date, 1e20::float8, array[1,2])
concat_ws(',', 'abcde', 2, null, 22)
concat_ws(null, 'a')
concat()
format('Hello %s', 'World')
format('%s %% %I %L', 'a', 'B c', 'it''s')
format('|%10s|%-10s|', 'foo', 'bar')
format('%2$s %1$s', 'a', 'b')
format('%*s', 5, 'x')
format('%s')
format('%I', null)
format('%L', null)
format('%z', 1)
format('%s', null)
md5('abc')
md5('abc'::bytea)
sha256('abc')
encode('abc', 'base64')
encode('\x00ff41'::bytea, 'hex')
encode('\x00ff415c'::bytea, 'escape')
encode('abc', 'foo')
decode('YWJj', 'base64')
decode('616263', 'hex')
decode('61626', 'hex')
decode('6z', 'hex')
decode('a\\b\001', 'escape')
quote_ident('Foo bar')
quote_ident('foo')
quote_ident('select')
quote_literal('O''Reilly')
quote_literal(E'a\\b')
quote_literal(42)
quote_nullable(null)
starts_with('alphabet', 'alph')
'alphabet' ^@ 'alph'
overlay('Txxxxas' placing 'hom' from 2 for 4)
overlay('Txxxxas' placing 'hom' from 2)
string_to_array('xx~~yy~~zz', '~~', 'yy')
string_to_array('abc', null)
string_to_array('', ',')
string_to_array('a,b', '')
array_to_string(array[1, 2, 3, null, 5], ',', '*')
array_to_string(array[1, null, 5], ',')
select string_to_table('a,b,c', ',')
'abc' || 'def'
'abc' || 42
42 || 'abc'
'a' || null
'abc' like 'a%'
'abc' like '_b_'
'abc' like 'c'
'a%c' like 'a\%c'
'a%c' like 'a!%c' escape '!'
'abc' like 'abc\'
'ABC' ilike 'a%'
'abc' not like 'b%'
'abc' similar to 'abc'
'abc' similar to '%(b|d)%'
'abc' similar to '(b|c)%'
'xabc' similar to '_abc'
'abc' ~ 'a.*c'
'abc' ~ '^b'
'ABC' ~* 'abc'
'abc' !~ 'x'
'foo bar' ~ '\mbar\M'
'a1' ~ '^[[:alpha:]][[:digit:]]$'
E'a\nb' ~ 'a.b'
E'a\nb' ~ '^b'
E'ab\n' ~ 'b$'
'abc' ~ '('
'abc' ~ '['
'abc' ~ '*'
'abc' ~ 'a{2,1}'
'a.b' ~ 'a\.b'
'abc' ~ '(?i)ABC'
'a+b' ~ '***=a+b'
'aa' ~ '(a)\1'
regexp_replace('Thomas', '.[mN]a.', 'M')
regexp_replace('foobarbaz', 'b(..)', 'X\1Y', 'g')
regexp_replace('foobarbaz', 'b..', '[\&]', 'g')
regexp_replace('A PostgreSQL function', 'a|e|i|o|u', 'X', 1, 3, 'i')
regexp_replace('abc', 'b', 'x', 'z')
regexp_match('foobarbequebaz', '(bar)(beque)')
regexp_match('foobarbequebaz', 'barbeque')
regexp_match('abc', 'x')
select regexp_matches('foobarbequebazilbarfbonk', '(b[^b]+)(b[^b]+)', 'g')
select regexp_split_to_table('hello world', '\s+')
regexp_split_to_array('the quick brown fox', '\s*')
regexp_split_to_array('hello world', '\s+')
regexp_count('ABCABCAXYaxy', 'A.', 1, 'i')
regexp_instr('number of your street', '[^,]+')
regexp_instr('ABCDEFGHI', 'D', 1, 1)
regexp_like('Hello World', 'world$', 'i')
regexp_substr('ABCDEFGHI', 'D.F')
regexp_substr('number of your street', '[a-z]+', 1, 2)
'abc'::char(5) = 'abc'
'abc'::char(5) || 'x'
'abc  '::char(5)::text || 'x'
'abcdef'::varchar(3)
'abc'::name
'abcdef'::char(3)
'abc' < 'abd'
'a' < 'B'
'Z' < 'a'
'abc'::bpchar < 'abd'
'ab'::"char"
''::"char"
'é' < 'z'
unistr('\0441\043B\+00043E\u043D')
unistr('\xyz')
normalize('é', NFD) = 'é'
parse_ident('Schema."Table"')
parse_ident('1abc')
get_byte('\x1234567890'::bytea, 4)
set_byte('\x1234567890'::bytea, 4, 64)
get_bit('\x1234567890'::bytea, 30)
set_bit('\x1234567890'::bytea, 30, 0)
get_byte('\x12'::bytea, 4)
substring('\x1234567890'::bytea from 3 for 2)
'\x12'::bytea || '\x34'::bytea
'\x12'::bytea < '\x34'::bytea
'abc\'::bytea
'\xzz'::bytea
'a\\b\101'::bytea
length('\x1234'::bytea)
position('\x34'::bytea in '\x1234'::bytea)
trim('\x00'::bytea from '\x001200'::bytea)
convert_from('\xc3a9', 'utf8')
convert_to('é', 'latin1')
convert_from('\xff', 'utf8')
'a'::text = 'a'::varchar
upper('straße')
true::text
't'::bool
'yes'::bool
'maybe'::bool
'of'::bool
'o'::bool
true and null
true = 'false'
bool 'on'
not true
true > false
'a' || true
text 'a' || 1.5
E'\\x41'::bytea
'foo' in ('foo', 'bar')
'a'::text collate "C"
'x' = any('{x,y}')
pg_typeof('x')
pg_typeof(1)
pg_typeof(array[1.5])
pg_typeof(now())
'1' = 1
'a' = 1
lower(1)
nosuchfunction(1, 'a')
'a' + 'b'
'a' ~~ 1
coalesce('a', 1)
case when true then 'a' else 1 end
select lpad('one', 2147483647, '')
