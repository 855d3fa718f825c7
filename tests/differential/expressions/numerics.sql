-- numeric: scales, limits, infinities; nothing is rounded that PostgreSQL keeps
-12345678901234567890123456789012345.678
-(12345678901234567890123456789012345.678)
-12345678901234567890123456789012345.678/3
abs(-12345678901234567890123456789012345.678)
12345678901234567890123456789012345.678 % 7
exp(100000::numeric)
exp(5999::numeric)
exp(-5999::numeric)
exp(-7000::numeric)
exp(1.5::numeric)
exp(0::numeric)
exp(0.0::numeric)
exp(32.999::numeric)
exp('inf'::numeric)
exp('-inf'::numeric)
sqrt(10::numeric^130000)
sqrt(2::numeric)
sqrt(2.00000::numeric)
sqrt(1e-20::numeric)
sqrt(12345678901234567890::numeric)
sqrt(0::numeric)
sqrt(0.00::numeric)
10::numeric^131071
10::numeric^131072
10::numeric^-131072
2::numeric^0.5
2::numeric^10
2::numeric^-1
2::numeric^-2
2::numeric^-100
2::numeric^3.00000000000000000000000
1.5::numeric^2
1.5::numeric^3
1.0000000001::numeric^2147483647
0.9::numeric^100000
0.9::numeric^1000
(-2)::numeric^3
(-2)::numeric^3000000001
(-2)::numeric^0.5
0::numeric^0
0::numeric^0.5
0::numeric^-1
0::numeric^5
7::numeric^1
7.123456789012345678901234567890::numeric^1
7.12345678901234567890::numeric^2
12345.678::numeric^12.34
12345.678::numeric^-12.34
2::numeric^6000.5
2::numeric^10000.5
2::numeric^-10000.5
1e1000::numeric^100
1e1000::numeric^200
'inf'::numeric^2
'inf'::numeric^-2
'-inf'::numeric^3
'-inf'::numeric^2
'-inf'::numeric^-3
'-inf'::numeric^0.5
2::numeric^'inf'::numeric
0.5::numeric^'inf'::numeric
0.5::numeric^'-inf'::numeric
(-1)::numeric^'inf'::numeric
(-2)::numeric^'inf'::numeric
0::numeric^'inf'::numeric
0::numeric^'-inf'::numeric
1::numeric^'nan'::numeric
'nan'::numeric^0
'nan'::numeric^1
1::numeric^'inf'::numeric
'inf'::numeric^0
ln(2::numeric)
ln(10::numeric)
ln(1::numeric)
ln(1.0::numeric)
ln(1.0001::numeric)
ln(0.99999999999999999999::numeric)
ln(1e-100::numeric)
ln(1e1000::numeric)
ln(10::numeric^130000)
ln(12345.6789)
ln(-1)
ln('inf'::numeric)
log(2::numeric)
log(100::numeric)
log(0.001)
log(2::numeric, 8)
log(2::numeric, 10)
log(1.1, 1000000)
log(1::numeric, 10)
log(10::numeric, 1)
log('inf'::numeric, 10)
log('inf'::numeric, 'inf')
log(10, 'inf'::numeric)
log(0::numeric, -1)
log(-1::numeric, 0)
log(0.99999999, 1.000000001)
log(1e1000, 1e-1000)
round(123.456, 2)
round(123.456, -2)
round(123.456, 2000)
round(123.456, 2001)
round(123.456, -2000)
round(123.456, 2147483647)
round(123.456, -2147483648)
trunc(123.456, 2147483647)
trunc(123.456, -2147483648)
trunc(-999.999, -2)
round(-999.999, -2)
round(5.5e131071, -131071)
round(9.9e131071, -131071)
round(5e5000, -5000)
trunc(5e5000, -5000)
round(5e1999, -2000)
round(4e1999, -2000)
round(9e131071, 2000)
round(-0.5)
trunc(-0.5)
ceil(-0.5)
floor(-0.5)
ceil(1e131071+0.5)
9e131071 + 9e131071
-9e131071 - 9e131071
9e131071 * 10
9e131071 / 0.01
9e131071 / 1e-16000
1e-16383 / 10
1e-16383 * 1e-10
1/3::numeric
1e131071::numeric/3
-1/3::numeric
-100000/7::numeric
2/3.0000000000000000000000000000000000
'inf'::numeric/2
2/'inf'::numeric
'inf'::numeric/0
'inf'::numeric % 0
'inf'::numeric % 3
3 % 'inf'::numeric
3.5 % '-inf'::numeric
div(7,2.0)
div(-7,2.0)
div('inf',2)
div(2,'inf')
div(1e131071,1e-16000)
gcd(12.5,7.5)
lcm(12.5,7.5)
gcd(0,0.00)
lcm(0,2.50)
lcm(1e100000,3e100000)
lcm(1e131071,7)
gcd('inf',3)
lcm('nan',3)
factorial(0)
factorial(32178)
width_bucket(10.06, 10.06, 0.024, 5)
width_bucket(0::float8,'-inf',4.0,8)
width_bucket(0,'-inf',4.0,8)
width_bucket('inf'::numeric,0,4.0,8)
width_bucket('nan'::numeric,0,4.0,8)
width_bucket(1e308::float8,-1e308,1e308,10)
width_bucket(1::float8,1,1,10)
width_bucket(1::float8,0,2,2147483647)
width_bucket(3::float8,0,2,2147483647)
width_bucket(3::numeric,0,2,2147483647)
width_bucket(0.99999999999999999999,0,1,10)
width_bucket(0.9999999999999999::float8,0,1,10)
width_bucket(4.9::float8,5,0,10)
width_bucket(0.1::float8,5,0,0)
scale(1.500)
min_scale(1.500)
trim_scale(1.500)
trim_scale(0.000)
sign(-0.00)
1e-16383
1e-16384
1e131071 = 1e131071
select avg(x) from (values (12345678901234567890123456789012345.678),(-1.5)) v(x)
select sum(-x) from (values (12345678901234567890123456789012345.678),(-1.5)) v(x)
select stddev(x) from (values (1.0),(2.0),(4.5)) v(x)
select stddev_pop(x) from (values (12345678901234567890.1),(2.0),(4.5)) v(x)
select variance(x) from (values (12345678901234567890.1),(2.0),(4.5)) v(x)
select stddev(x) from (values (0.0001),(0.0002),(0.00045)) v(x)
select stddev(x) from (values (100),(200),(450)) v(x)
select stddev(x) from (values (100::int8),(200),(99999999450)) v(x)
select stddev(x) from (values (1.5),(1.5)) v(x)
select stddev_samp(x) from (values (1.5)) v(x)
select stddev_pop(x) from (values (1.5)) v(x)
select variance(x) from (values ('inf'::numeric),(1)) v(x)
select avg(x) from (values ('inf'::numeric),('-inf')) v(x)
select avg(x) from (values ('inf'::numeric),(1)) v(x)
select sum(x) from (values (9e131071),(9e131071)) v(x)
select avg(x) from (values (9e131071),(9e131071)) v(x)
select sum(x) from (values (9e131071),(9e131071),(-9e131071)) v(x)
select x from generate_series(1234567890123456789012345678901234567.5, 1234567890123456789012345678901234569.5, 1.0000000000000000000001) x
select x from generate_series(1,3,'nan'::numeric) x
select x from generate_series('inf'::numeric,3) x
select x from generate_series(1,'inf'::numeric) x
select x from generate_series(1,'nan'::numeric) x
select x from generate_series(1.0,3,0) x
select count(*) from generate_series(9e131071,9.0e131071,9e131071) x
123.45::numeric::int4
1e100000::numeric::int8
'inf'::numeric::int4
'nan'::numeric::int2
1e1000::numeric::float8
1e-1000::numeric::float8
1e300::numeric::float4
123456789012345678901234567890::float8::numeric
1e308::float8::numeric
1.1::float4::numeric
repeat('9',131072)::numeric > 0
repeat('9',131073)::numeric > 0
repeat('9',100000)::int4
repeat('9',100000)::int8
repeat('9',100000)::float8
repeat('9',100000)::jsonb is not null
(repeat('9',100000)::numeric * repeat('9',31000)::numeric) > 0
(repeat('9',100000)::numeric * repeat('9',100000)::numeric) > 0
(repeat('9',100000)::numeric / repeat('7',50000)::numeric) > 0
length((repeat('9',131072)::numeric)::text)
gcd(repeat('9',20000)::numeric,repeat('7',15000)::numeric) > 0
(0.1234::numeric(1000,1000))*(0.1234::numeric(1000,1000))

-- long operands
sqrt(10::numeric^130000)
sqrt(repeat('7',130000)::numeric)>0
exp(5999.9::numeric)>0
exp(1.000::numeric(1000,999))>0
power(3679e176,14.46330)>0
power(1.5,5000.123456)>0
(1+1e-1000)::numeric^(1e10+0.5)>0
(1+1e-1000)::numeric^(1e1000+0.5)>0
(0.5::numeric)^12000.5
ln(repeat('7',130000)::numeric)
ln((1+1e-1000)::numeric)
ln(('1.'||repeat('7',16000))::numeric)>0
exp(('1.'||repeat('7',16000))::numeric)>0
2::numeric^131072>0
3::numeric^274000>0
(repeat('7',1000)::numeric)^131>0
(1.0000000001)^2000000000>0
(('1.'||repeat('7',16000))::numeric)^1000>0
(('1.'||repeat('7',16000))::numeric)^1000.5>0
lcm((repeat('129',20000))::numeric,repeat('73',30000)::numeric) > 0
repeat('7',131072)::numeric % repeat('31',30000)::numeric>0
repeat('7',131072)::numeric / 1e-16383>0
repeat('7',60000)::numeric * repeat('31',30000)::numeric>0
length(to_char(repeat('7',131072)::numeric,'9EEEE'))
round(repeat('7',131072)::numeric,-100000)>0
length(repeat('7',131072)::numeric::text)
repeat('7',131072)::numeric::float8
trim_scale((repeat('7',131072)||'.'||repeat('0',16000))::numeric)>0
width_bucket(repeat('7',131072)::numeric,0,repeat('8',131072)::numeric,100)

-- templates
to_char(0::numeric,'9.999EEEE')
to_char(100::numeric,'FM999.')
to_char(100::numeric,'999.')
to_char(-0.001,'9.9')
to_char(123456789012345678901234567890123456.789,'999999999999999999999999999999999999.999')
to_char(-123456789012345678901234567890123456.789,'999999999999999999999999999999999999.999')
to_char(1234.5678,'9.999EEEE')
to_char(0.00012345678,'9.999EEEE')
to_char(-0.00012345678,'9.9EEEE')
to_char(9.9996,'9.999EEEE')
to_char(1e100::numeric,'9.9EEEE')
to_char(1e-100::numeric,'9.9EEEE')
to_char(1e1000::numeric,'9.9EEEE')
to_char('nan'::numeric,'9.9EEEE')
to_char('inf'::numeric,'9.9EEEE')
to_char('inf'::numeric,'999.9')
to_char('-inf'::numeric,'999.9')
to_char('nan'::float8,'999.9')
to_char('inf'::float8,'9.9EEEE')
to_char(12::numeric,'FM999V99')
to_char(12.45::numeric,'99V9')
to_char(485::numeric,'RN')
to_char(5.2::numeric,'FMRN')
to_char(4000::numeric,'RN')
to_char('nan'::numeric,'RN')
to_char(1e131071::numeric, '9')
to_char(0,'EEEE')
to_char(12345::int4,'9.9EEEE')
to_char(12345::int8,'9.99EEEE')
to_char(-12345::int8,'9.99EEEE')
to_char(12345::float8,'9.99EEEE')
to_char(0::float8,'9.99EEEE')
to_char(0::int4,'9.99EEEE')
to_char(1e308::float8,'9.99EEEE')
to_char(1.5::float4,'9.99EEEE')
to_char(0.5,'9.9')
to_char(0.5,'FM9.9')
to_char(0.5,'0.9')
to_char(10.0,'FM9.9')
to_char(10.0,'FM99.99')
to_char(-10.5,'FMS99.99')
to_char(-10.5,'99.99PR')
to_char(10.5,'99.99PR')
to_char(-10.5,'MI99.99')
to_char(-10.5,'99.99MI')
to_char(148.5,'FM999.990')
to_char(1485,'9G999')
to_char(1485,'9,999')
to_char(485,'L999')
to_char(482,'999th')
to_char(482,'999TH')
to_char(485,'"Good number:"999')
to_char(485.8,'"Pre:"999" Post:" .999')
to_number('12,454.8-','99G999D9S')
to_number('-34,338,492','99G999G999')
to_number('<564646.654564>','999999.999999PR')
to_number('.00001-','9.999999S')
to_number('5.01-','FM9.999999S')
to_number('5 4 4 4 4 8 . 7 8','9 9 9 9 9 9 . 9 9')
to_number('.01','FM9.99')
to_number('0.0','99999999.99999999')
to_number('0','99.99')
to_number('.-01','S99.99')
to_number('.01-','99.99S')
to_number(' . 0 1-',' 9 9 . 9 9 S')
to_number('34,50','999,99')
to_number('123,000','999G')
to_number('123456','999G999')
to_number('$1234.56','L9,999.99')
to_number('$1,234.56','L99,999.99')
to_number('1234.56','L9999.99')
to_number('1,234.56','L9,999.99')
to_number('42nd','99th')
to_number('42nd','99TH')
to_number('','99')
to_number('abc','99')
to_char('-inf'::numeric,'999999999')
to_char('inf'::numeric,'999999999')
to_char('inf'::numeric,'FM999999999')
to_char('nan'::numeric,'9999')
to_char('nan'::float4,'999')
to_char('nan'::float4,'99')
to_char('inf'::float4,'9.9EEEE')
to_char(99999::numeric,'RN')
to_char(1e30::numeric,'RN')
to_char(0.5::float8,'RN')
to_char(1e15::float8,'9.9EEEE')
to_char(99999999::int4,'9.9EEEE')
to_char(99999999::int8,'9.9EEEE')
to_char(-1::float8,'FM9EEEE')
to_char(1::numeric,'FM9EEEE')
