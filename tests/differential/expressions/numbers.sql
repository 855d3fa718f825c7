1 + 1
2147483647 + 1
(-32768)::int2 - 1::int2
9223372036854775807 + 1
7 / 2
-7 / 2
7 % -3
-7 % 3
mod(-7, 2)
1 / 0
1.0 / 0
1::float8 / 0
'NaN'::float8 / 0
1.0 / 3
10 / 3.0
2.0 / 3
1000000.0 / 0.0003
0.0001 / 7
123456789.123 / 0.001
1::numeric / 7
12345678901234567890 / 3
1.5 * 2.25
1.10 + 2.2
-(-2147483648)
abs(-5)
abs(-2147483648)
2 ^ 10
2 ^ 0.5
2.0 ^ 3
2.5 ^ 2.5
10.0 ^ -2
0 ^ -1
(-8) ^ 0.333
|/ 25.0
||/ 27.0
@ -5.5
5 & 3
5 | 3
5 # 3
~5
1 << 4
1 << 33
-16 >> 2
round(2.5)
round(-2.5)
round(2.5::float8)
round(3.5::float8)
round(1234.5678, 2)
round(1234.5678, -2)
trunc(1234.5678, 2)
trunc(-1234.5678, -2)
trunc(-1.9)
ceil(-1.5)
ceiling(1.2)
floor(-1.5)
floor(1.5::float8)
sqrt(2)
sqrt(2.0)
sqrt(2.25)
sqrt(1000000.0)
sqrt(0.0004)
sqrt(-1)
sqrt(-1.0)
exp(1)
exp(1.0)
exp(10.0)
exp(-5.5)
exp(1000)
ln(2)
ln(2.0)
ln(10.0)
ln(0.5)
ln(0)
ln(-1.0)
log(100)
log(100.0)
log(2.0, 64.0)
log(2.0, 10.0)
log10(1000)
power(2, 3)
power(2.0, 0.5)
power(1.5, 10)
power(9, 0.5)
sign(-5)
sign(-5.5)
sign(0.0)
div(7, 2)
div(-7.5, 2)
gcd(12, 18)
gcd(-12, 18)
lcm(4, 6)
gcd(1.5, 2.5)
factorial(20)
factorial(-1)
width_bucket(5.35, 0.024, 10.06, 5)
width_bucket(5.35::float8, 0.024, 10.06, 5)
width_bucket(11, 0, 10, 5)
width_bucket(1, 10, 0, 5)
width_bucket(5, 1, 1, 5)
scale(8.41)
min_scale(8.4100)
trim_scale(8.4100)
degrees(0.5)
radians(45)
pi()
sin(1)
cos(1)
tan(1)
asin(1)
asin(2)
acos(0.5)
atan2(1, 2)
sind(30)
cosd(60)
tand(45)
cot(1)
sinh(1)
cbrt(27)
1e20::float8
1e15::float8
123456789012345678::float8
0.00001::float8
1.5::float4
1e10::float4
0.1::float4 + 0.2::float4
0.1::float4::float8
0.1::float8 + 0.2::float8
1e308::float8 * 10
1e-308::float8 / 1e10
1e38::float4 * 10
3.7::int
2.5::int
3.5::int
2.5::float8::int
3.5::float8::int
-2.5::numeric::int
99999999999::int
'NaN'::numeric::int
'Infinity'::float8::int
1e400::float8
'1e400'::float8
'abc'::float8
''::int
' 42 '::int
'4 2'::int
'99999'::int2
'1.5'::int
'1e5'::numeric
'1e-5'::numeric
'  12.340  '::numeric
'NaN'::numeric
'-Infinity'::numeric
'infinity'::numeric + 1
'infinity'::numeric - 'infinity'::numeric
'infinity'::numeric * 0
1 / 'infinity'::numeric
'nan'::numeric = 'nan'::numeric
'nan'::numeric > 'infinity'::numeric
'nan'::float8 > 1
'nan'::float8 = 'nan'::float8
1.0 = 1
1.0::text
1.50::float8::text
100::numeric(5,2)
123.456::numeric(5,2)
1234.5::numeric(5,2)
99.995::numeric(4,2)
12345::numeric(3,-2)
0.001::numeric(2,2)
'NaN'::numeric(3,1)
'Infinity'::numeric(3,1)
1::numeric(1001)
1::bool
0::bool
true::int
1::int8::bool
5::"char"
'a'::"char"::int
1::oid
-1::oid
4294967296::oid
1 = 1.0::float8
1 < 2.5
2 between 1 and 3
greatest(1, 2.5, 2)
least(1, null, 3)
coalesce(null, 1.5, 2)
case when true then 1 else 2.5 end
nullif(1, 1)
1 + '2'
'1' + '2'
1 + 'x'
1.5 + '2'
- '5'
+ 5
1 || 2
1 + null
null + null
1::int2 + 1::int8
1::float4 + 1::float8
1::int4 * 1.5::float4
1 + 1.5::float8
3 = any(array[1,2,3])
1 is distinct from null
to_hex(255)
to_hex(-1)
12::int2 / 5::int2
int4(3.7)
float8(3)
text(3)
numeric '3.14'
sum(1)
avg(1)
5 !
1.
.5
4e3
int '5' + 1
(-9223372036854775808) / -1
9223372036854775807 * 2
5.5 % 2
-5.5 % 2
5.5 % 0
'5'::int2 % 3::int8
1e131072
select to_char('-0'::float8, 'FM999')
select to_char('-0.4'::float8, '99PR')
select to_char('-0.04'::float4, 'S9.9')
select to_char(-0.4::numeric, 'FM999')
select atanh(1), atanh(-1), atanh(0.5), atanh(-0.0), atanh('nan')
select atanh(1.1)
select atanh('-inf')
select cosh(1000), cosh(-1000), sinh(1000), sinh(-1000), sinh('-inf'), cosh('-inf'), tanh(1000)
select 1::decimal(3.2)
select 1::decimal('32')
select 1::decimal(18, 2.5)
select 1::decimal(-3)
