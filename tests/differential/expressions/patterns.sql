-- leftmost longest, and what each group has of it
regexp_match('xyz', '.|...')
regexp_match('abcd', '(a|ab)(c|bcd)(d*)')
regexp_match('ab', 'a?(?:ab)?(.*)')
regexp_match('XY1234Z', 'Y*([0-9]{1,3})')
regexp_match('XY1234Z', 'Y*?([0-9]{1,3})')
regexp_match('abc01234xyz', '(.*)(\d+)(.*)')
regexp_match('abc01234xyz', '(?:(.*?)(\d+)(.*)){1,1}')
regexp_match('abc01234xyz', '(.*?)(\d+)(.*)')
regexp_match('b', '(a*)*')
regexp_match('b', '(a*?)*')
regexp_match('b', '(\M)*')
regexp_match('aab', '(a|b)*')
regexp_match('aaab', '(a+?)(a*)')
regexp_match('x', '((x))')
regexp_matches('foobarbequebaz', '(b[^b]+)(b[^b]+)', 'g')
substring('abcdefg' similar 'a*#"%#"g*' escape '#')
substring('abcdefg' similar 'a#"(b_d)#"%' escape '#')
substring('abcdefg' similar 'a#"%#"x|g' escape '#')
substring('abcdefg' similar 'a#"%|ab#"g' escape '#')
substring('abcdefg' similar '#"(b_d)#"%' escape '#')
substring('abcdefg' from 'b(.*)f')
'abcd_efg' similar to '_bcd#%' escape '#'
'abcd%' similar to '_bcd#%' escape '#'
'abcdefg' similar to '_bcd\%'
'abcd\efg' similar to '_bcd\%' escape ''
'abcdefg' similar to '_bcd%' escape null
'abc' similar to 'abc#' escape '#'
'abc' similar to 'a#"b#"c#"d' escape '#'
'abc' similar to 'abc' escape '##'
'a' similar to '[[:alpha:]^%]+'
-- syntax
'a' ~ '\x7fffffff'
'a' ~ '\x110000'
'a' ~ '[a-\x110000]'
'a' ~ 'a{256}'
'a' ~ '(a{255}){255}'
'a' ~ repeat('(', 50) || 'a'
'a' ~ repeat('a', 100000)
'a' ~ '(?<n>a)'
'a' ~ '(?z)a'
'a' ~ '***a'
'a' ~ 'a**'
'a' ~ '^*'
'a' ~ '[b-a]'
'a' ~ '[[:foo:]]'
'a' ~ '[[.foo.]]'
'-' ~ '[[.hyphen.]]'
'a' ~ '[\A]'
'a' ~ '\9'
'a' ~ '(?=\1)(a)'
E'a\nb' ~ '(?n)a.b'
E'a\nb' ~ '(?w)^b'
E'a\nb' ~ '(?p)^b'
'a b' ~ '(?x) a \  b # comment'
'ab' ~ 'a(?#comment)b'
'a.b' ~ '***=a.b'
'A.B' ~* '***=a.b'
'a{1}b' ~ '(?b)a{1}b'
'aa' ~ '(?b)^a\{2\}$'
'*a' ~ '(?b)^*a'
'a|b' ~ '(?b)^a|b$'
'a)' ~ '(?e)a)'
'é' ~ '\w'
'É' ~* 'é'
'aé' ~ '\Yé'
regexp_count(']a]aé', '\Y')
-- constraints and back references
'password1' ~ '^(?=.*\d)(?=.*[a-z]).{8,}$'
regexp_match('foobar', 'foo(?=b)(..)')
regexp_match('foobar', '(?<=foo)b(.)')
regexp_match('foobaz foobar', '(foo)(?!baz)')
regexp_replace('a1b2', '(?<![a])\d', 'x', 'g')
'abcabc' ~ '^(abc)\1$'
'aBcAbC' ~* '^(abc)\1$'
regexp_match('aabbab', '(.)\1')
regexp_match('abab', '(a|ab)(b|\1)*')
regexp_replace('hello  world', '(\w)\1', '<\1>', 'g')
-- functions and flags
regexp_match('abc', 'b', 'g')
regexp_match('abc', 'b', 'y')
regexp_match('a(b', '(', 'b')
regexp_match('a(b', '(', 'e')
regexp_match('a(B', '(b', 'iq')
regexp_replace('abcabc', 'b', 'x', '1')
regexp_replace('abcabc', '(b)(c)?', '[\2\1\&\\]', 'g')
regexp_replace('abcabc', 'b', 'x', 3)
regexp_replace('abcabcabc', 'b', 'x', 1, 2)
regexp_replace('abcabcabc', 'b', 'x', 1, 0, 'i')
regexp_replace('abc', '', '-', 'g')
regexp_split_to_array('the quick fox', '\s*')
regexp_split_to_array('a,b,,c', ',')
regexp_split_to_array('abc', 'x*')
regexp_split_to_array(',a,', ',')
regexp_split_to_array('abc', 'b', 'g')
regexp_count('abcabc', 'b', 1, 'g')
regexp_substr('abcabc', 'b', 1, 1, 'g')
regexp_instr('abcabc', 'b', 1, 1, 0, 'g')
regexp_instr('éaéa', 'a', 2, 2)
regexp_instr('éaéa', '(é)(a)', 1, 2, 1, '', 2)
regexp_substr('éaéa', '(é)(a)', 1, 2, '', 2)
regexp_count('ééé', '', 2)
-- in no time
'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!' ~ '^(a+)+$'
length(regexp_replace(repeat('a', 30000) || 'b', '(a|aa)+$', 'x'))
repeat('a', 26) ~ '^(a+)+$b'
repeat('a', 40) ~ '^(a|aa)+$b'
regexp_replace(repeat('a', 28) || '!', '(a+)+$', 'x')
repeat('ab', 500) like '%a%a%a%c'
repeat('lorem ipsum dolor sit amet ', 40) ilike '%lorem%dolor%amet%x%y'
