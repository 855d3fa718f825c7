'2001-02-03'::date
'Jan 8 1999'::date
'1/8/1999'::date
'19990108'::date
'99-Jan-08'::date
'08-Jan-99'::date
'January 8, 99 BC'::date
'2001-02-30'::date
'2001-13-01'::date
'13/13/2001'::date
'abc'::date
''::date
'infinity'::date
'epoch'::date
'J2451187'::date
'1999.008'::date
'0001-01-01 BC'::date
'5874897-12-31'::date
'5874898-01-01'::date
'4714-11-24 BC'::date
'4714-11-23 BC'::date
'2001-02-03 04:05:06'::timestamp
'2001-02-03T04:05:06.789123'::timestamp
'2001-02-03 04:05:06.7891239'::timestamp
'2001-02-03 04:05:06+05'::timestamp
'2001-02-03 04:05:06+05'::timestamptz
'2001-02-03 04:05:06 PST'::timestamptz
'2001-02-03 04:05:06 Europe/Paris'::timestamptz
'2001-02-03 04:05:06Z'::timestamptz
'2001-02-03 04:05:06 nosuch'::timestamptz
'2001-02-03 04:05:06 No/Where'::timestamptz
'2001-07-03 12:00'::timestamptz
'2001-04-01 02:30'::timestamptz
'2001-10-28 01:30'::timestamptz
'1850-01-01 12:00'::timestamptz
'2050-07-01 12:00'::timestamptz
'10000-07-01 12:00'::timestamptz
'Mon Jan 08 04:05:06 1999 PST'::timestamptz
'20010203T040506'::timestamp
'20010203 040506'::timestamp
'2001-02-03 24:00'::timestamp
'2001-02-03 25:00'::timestamp
'2001-02-03 04:60'::timestamp
'2001-02-03 04:05:60'::timestamp
'2001-02-03 12:00 PM'::timestamp
'2001-02-03 12:00 AM'::timestamp
'2001-02-03 13:00 PM'::timestamp
'294276-12-31 23:59:59'::timestamp
'294277-01-01'::timestamp
'infinity'::timestamp
'-infinity'::timestamptz
'2001-02-03 04:05:06.789'::timestamp(1)
'2001-02-03 04:05:06.55'::timestamp(0)
'04:05:06'::time
'04:05'::time
'040506'::time
'04:05 AM'::time
'04:05:06.789-8'::timetz
'04:05:06 PST'::timetz
'2003-04-12 04:05:06 America/New_York'::timetz
'24:00:00'::time
'25:00'::time
'allballs'::time
'04:05:06.789'::time(2)
'1 year 2 months 3 days 4 hours 5 minutes 6 seconds'::interval
'1-2'::interval
'3 4:05:06'::interval
'P1Y2M3DT4H5M6S'::interval
'P0001-02-03T04:05:06'::interval
'1.5 years'::interval
'1.5 months'::interval
'1.5 weeks'::interval
'1.5 days'::interval
'-1.5 days'::interval
'1 day ago'::interval
'1 mon -1 day'::interval
'-1 days +02:03'::interval
'1 century 2 decades'::interval
'5'::interval
'5.5'::interval
'1:30'::interval
'-1:30:15.5'::interval
'abc'::interval
''::interval
'1 fortnight'::interval
'1 day 1 day'::interval
'200000000 years'::interval
'@ 1 minute'::interval
'1 us'::interval
'0.000001 seconds'::interval
interval '1-2' year to month
interval '1 day 02:03:04.567' day to second(1)
interval '1 year 5 days' year
interval(2) '1.239 seconds'
date '2001-09-28' + 7
date '2001-09-28' + interval '1 hour'
date '2001-09-28' + time '03:00'
date '2001-10-01' - date '2001-09-28'
date '2001-10-01' - 7
date '2001-09-28' - interval '1 hour'
time '05:00' - time '03:00'
time '05:00' - interval '6 hours'
time '01:00' + interval '3 hours'
timestamp '2001-09-28 23:00' - interval '23 hours'
timestamp '2001-01-31' + interval '1 month'
timestamp '2001-03-31' - interval '1 month'
timestamp '2001-09-29 03:00' - timestamp '2001-07-27 12:00'
timestamptz '2001-04-01 00:00' + interval '1 day'
timestamptz '2001-04-01 00:00' + interval '24 hours'
timestamptz '2001-10-28 00:00' - timestamptz '2001-10-27 00:00'
interval '1 day' - interval '1 hour'
- interval '23 hours'
900 * interval '1 second'
21 * interval '1 day'
double precision '3.5' * interval '1 hour'
interval '1 hour' / 1.5
interval '1 mon' / 7
interval '1 year 1 day' * 0.37
interval '1 hour' / 0
interval '1 day' = interval '24 hours'
interval '1 month' = interval '30 days'
interval '1 month' < interval '31 days'
age(timestamp '2001-04-10', timestamp '1957-06-13')
age(timestamp '1957-06-13', timestamp '2001-04-10')
age(timestamp '2001-03-31', timestamp '2001-02-28')
age(timestamp '2004-03-01 01:00', timestamp '2004-02-29 02:00')
date_part('hour', timestamp '2001-02-16 20:38:40')
date_part('month', interval '2 years 3 months')
date_part('foo', timestamp '2001-02-16')
date_part('hour', date '2001-02-16')
extract(century from timestamp '2000-12-16 12:21:13')
extract(century from date '0001-12-31 BC')
extract(day from timestamp '2001-02-16 20:38:40')
extract(day from interval '40 days 1 minute')
extract(decade from timestamp '2001-02-16')
extract(dow from timestamp '2001-02-16')
extract(doy from timestamp '2001-02-16')
extract(epoch from timestamptz '2001-02-16 20:38:40.12-08')
extract(epoch from timestamp '2001-02-16 20:38:40.12')
extract(epoch from interval '5 days 3 hours')
extract(epoch from interval '1 year 1 month')
extract(epoch from date '2001-02-16')
extract(hour from time '20:38:40')
extract(hour from date '2001-01-01')
extract(isodow from timestamp '2001-02-18')
extract(isoyear from date '2006-01-01')
extract(julian from date '2006-01-01')
extract(julian from timestamp '2006-01-01 12:00')
extract(julian from timestamp '2006-01-01 20:38:40.12')
extract(microseconds from time '17:12:28.5')
extract(millennium from timestamp '2001-02-16')
extract(milliseconds from time '17:12:28.5')
extract(minute from timestamp '2001-02-16 20:38:40')
extract(month from interval '2 years 13 months')
extract(quarter from timestamp '2001-02-16')
extract(second from time '17:12:28.5')
extract(timezone from timestamptz '2001-02-16')
extract(timezone_hour from timestamptz '2001-02-16')
extract(timezone from timestamp '2001-02-16')
extract(week from timestamp '2001-02-16')
extract(year from timestamp '2001-02-16')
extract(year from date '0044-03-15 BC')
extract(year from timestamp 'infinity')
extract(hour from timestamp 'infinity')
extract(nosuch from timestamp '2001-02-16')
extract(quarter from interval '14 months')
date_trunc('hour', timestamp '2001-02-16 20:38:40')
date_trunc('year', timestamp '2001-02-16 20:38:40')
date_trunc('week', timestamp '2001-02-16 20:38:40')
date_trunc('quarter', timestamp '2001-05-16 20:38:40')
date_trunc('century', timestamp '2001-05-16')
date_trunc('millennium', timestamp '0001-05-16 BC')
date_trunc('decade', timestamp '2001-05-16')
date_trunc('day', timestamptz '2001-02-16 20:38:40+00')
date_trunc('day', timestamptz '2001-02-16 20:38:40+00', 'Australia/Sydney')
date_trunc('hour', timestamptz '2001-10-28 01:30-05')
date_trunc('hour', interval '3 days 02:47:33')
date_trunc('month', interval '14 months 3 days')
date_trunc('foo', timestamp '2001-05-16')
date_trunc('hour', date '2001-02-16')
date_bin('15 minutes', timestamp '2020-02-11 15:44:17', timestamp '2001-01-01')
date_bin('1 month', timestamp '2020-02-11 15:44:17', timestamp '2001-01-01')
justify_days(interval '35 days')
justify_hours(interval '27 hours')
justify_interval(interval '1 mon -1 hour')
make_date(2013, 7, 15)
make_date(2013, 2, 30)
make_date(-44, 3, 15)
make_time(8, 15, 23.5)
make_time(25, 0, 0)
make_timestamp(2013, 7, 15, 8, 15, 23.5)
make_timestamptz(2013, 7, 15, 8, 15, 23.5)
make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'Europe/Paris')
make_interval(days => 10)
make_interval(1, 2, 3, 4, 5, 6, 7.5)
make_interval(secs => 10.5, hours => 2)
isfinite(date '2001-02-16')
isfinite(timestamp 'infinity')
timestamp '2001-02-16 20:38:40' at time zone 'America/Denver'
timestamptz '2001-02-16 20:38:40-05' at time zone 'America/Denver'
timestamp '2001-02-16 20:38:40' at time zone interval '-08:00'
timetz '05:00+01' at time zone 'UTC'
timestamp '2001-02-16 20:38:40' at time zone 'nosuch'
timezone('UTC', timestamptz '2001-02-16 20:38:40-05')
to_timestamp(1284352323)
to_timestamp(0.5)
timestamptz '2001-02-16 20:38:40-05'::date
timestamptz '2001-02-16 20:38:40-05'::time
timestamptz '2001-02-16 20:38:40-05'::timestamp
timestamp '2001-02-16 20:38:40'::timestamptz
timestamp '2001-02-16 20:38:40'::date
date '2001-02-16'::timestamp
date '2001-02-16'::timestamptz
time '04:05:06'::interval
interval '28 hours'::time
time '04:05:06'::timetz is not null
timetz '04:05:06-08'::time
date '2001-02-16' = timestamp '2001-02-16 00:00'
date '2001-02-16' < timestamptz '2001-02-16 00:00+00'
timestamp '2001-02-16' < timestamptz '2001-02-16 00:00+00'
timetz '04:05:06-08' < timetz '12:05:06+00'
timetz '04:05:06-08' = timetz '12:05:06+00'
date '2001-02-16' < 'infinity'
(date '2001-02-16', date '2001-12-21') overlaps (date '2001-10-30', date '2002-10-30')
(date '2001-02-16', interval '100 days') overlaps (date '2001-10-30', date '2002-10-30')
(date '2001-10-29', date '2001-10-30') overlaps (date '2001-10-30', date '2001-10-31')
(time '01:00', time '02:00') overlaps (time '01:30', null)
select generate_series('2008-03-01 00:00'::timestamp, '2008-03-02 12:00', '10 hours')
select generate_series('2001-10-27'::timestamptz, '2001-10-30', '1 day')
select generate_series(date '2001-01-01', '2001-01-03', interval '1 day')
select generate_series(1, 5)
select generate_series(5, 1, -2)
select generate_series(1.1, 4, 1.3)
select generate_series(1, 2, 0)
select generate_series(1::int8, 3)
now() = current_timestamp
now() - now()
current_date = now()::date
localtimestamp = now()::timestamp
current_time is not null
age(now()) is not null
to_char(timestamp '2001-02-16 20:38:40.123456', 'YYYY-MM-DD HH24:MI:SS.US')
to_char(timestamp '2001-02-16 20:38:40', 'Day, DD Month YYYY HH12:MI:SS AM')
to_char(timestamp '2001-02-16 20:38:40', 'FMDay, FMDD FMMonth YYYY FMHH12:MI:SS pm')
to_char(timestamp '2001-02-06 20:38:40', 'Dy DDth Mon YY, Q IW IYYY W WW D ID DDD J CC BC')
to_char(timestamp '2001-02-06 20:38:40', 'MONTH|month|MON|mon|DAY|day|DY|dy|RM|rm|FMRM')
to_char(timestamp '2001-02-06 20:38:40', '"Year: "YYYY \"x\" Y,YYY YYY Y SSSS MS FF3')
to_char(timestamptz '2001-02-06 20:38:40', 'YYYY-MM-DD HH24:MI:SS TZ tz OF TZH:TZM')
to_char(interval '15h 2m 12s', 'HH24:MI:SS')
to_char(interval '1 year 2 months 3 days', 'YYYY MM DD')
to_char(timestamp '0044-03-15 BC', 'YYYY BC AD b.c.')
to_char(timestamp 'infinity', 'YYYY')
to_char(date '2001-02-06', 'YYYY-MM-DD')
to_char(timestamp '2001-02-06 20:38:40', 'a.m. P.M. DDTH HH24th')
to_date('05 Dec 2000', 'DD Mon YYYY')
to_date('20001205', 'YYYYMMDD')
to_date('2000-13-01', 'YYYY-MM-DD')
to_date('05/12/99', 'DD/MM/YY')
to_date('abc', 'YYYY')
to_timestamp('05 Dec 2000 10:11:12', 'DD Mon YYYY HH24:MI:SS')
to_timestamp('2000-12-05 10:11:12.123456 PM', 'YYYY-MM-DD HH12:MI:SS.US AM')
to_timestamp('2000-12-05 10:11 +05:30', 'YYYY-MM-DD HH24:MI TZH:TZM')
to_date('2001-034', 'YYYY-DDD')
to_date('February 2001', 'Month YYYY')
to_date('2006-01-4', 'IYYY-IW-ID')
to_char(485, '999')
to_char(-485, '999')
to_char(485, '9 9 9')
to_char(1485, '9,999')
to_char(1485, '9G999')
to_char(148.5, '999.999')
to_char(148.5, 'FM999.999')
to_char(148.5, 'FM999.990')
to_char(-0.1, '99.99')
to_char(-0.1, 'FM9.99')
to_char(0.1, '0.9')
to_char(12, '9990999.9')
to_char(12, 'FM9990999.9')
to_char(-485, '999S')
to_char(-485, '999MI')
to_char(485, 'PL999')
to_char(485, 'SG999')
to_char(-485, '999PR')
to_char(485, 'L999')
to_char(485, 'RN')
to_char(485, 'FMRN')
to_char(5.2, 'FMRN')
to_char(482, '999th')
to_char(485, '"Good number:"999')
to_char(485.8, '"Pre:"999" Post:" .999')
to_char(12, '99V999')
to_char(12.4, '99V999')
to_char(12.45, '99V9')
to_char(0.0004859, '9.99EEEE')
to_char(1234.5678, '9.99EEEE')
to_char(12345, '999')
to_char(1.5::float8, '99.99')
to_char(1234567890123::int8, '9,999,999,999,999')
to_char('NaN'::numeric, '999')
to_char(125, 'S999')
to_char(0, 'FM999')
to_char(0.5, 'FM0.00')
to_char(1234.5, 'FM9,999.00')
to_number('12,454.8-', '99G999D9S')
to_number('-34,338,492', '99G999G999')
to_number('1234.5', '9999.9')
to_number('abc', '999')

-- Fields that are too great (22015), sums that are (22008), and what is no interval.
'1 quarter'::interval
'1 qtr'::interval
'1e3 seconds'::interval
'1e3'::interval
'1.5e3 s'::interval
'1.5 years'::interval, '1.04 years'::interval, '-1.5 years'::interval, '0.7 decade'::interval, '1.23456 centuries'::interval
'1.5 months 2.5 days 3.5 hours'::interval, '1.5 weeks'::interval
'-1.5 months -2.5 days'::interval
'2147483647 years'::interval
'2147483648 years'::interval
'178956971 years'::interval
'-178956970 years -8 months'::interval
'-178956970 years -9 months'::interval
'214748365 decades'::interval
'-2147483648 days'::interval
'-2147483649 days'::interval
'306783379 weeks'::interval
'306783378 weeks 1 day'::interval
'306783378 weeks 2 days'::interval
'9223372036854775807 us'::interval
'9223372036854775808 us'::interval
'-9223372036854775808 us'::interval
'9223372036854775807 us 1 ms'::interval
'2562047788:00:54.775807'::interval
'2562047788:00:54.775808'::interval
'-25:61'::interval
'+25:61'::interval
'25:61'::interval
'-1:00:61'::interval
'1-12'::interval
'1-11'::interval
'-1-11'::interval
'2147483647-11'::interval
'2147483648-11'::interval
'P2147483648Y'::interval
'P178956970Y8M'::interval
'P1Y-1M'::interval
'P2147483648D'::interval
'PT2562047788H54.775807S'::interval
'PT2562047789H'::interval
'PT9223372036855S'::interval
'2147483647 months 31 days'::interval
'2147483647 days 24 hours'::interval
'2147483647.5 days'::interval
'2147483647.9 months'::interval
'0.99999999999999999999 years'::interval
'1 millennium 1 century 1 decade'::interval
'2147484 millennia'::interval
'-2147483648 months ago'::interval
'2147483647 months ago'::interval
'-9223372036854775808 us ago'::interval
interval '99999999999' year
interval '2147483648' month
interval '2147483648' day
interval '99999999999999' hour
'153722867280:54.775807'::interval minute to second
'9223372036854.775807'::interval
'9223372036854.775808'::interval
'99999999999999999999'::interval
'99999999999999999999 days'::interval
'-99999999999999999999 days'::interval
'PT99999999999999999999S'::interval
'1 day 1 day'::interval
'1 year 1 decade'::interval
'12:34:56:78'::interval
'infinity'::interval
'1:2:3.4.5'::interval
'1 mon -1 days +02:03'::interval
'3 days 04:05:06.789 ago'::interval
'+ 1 day'::interval
'- 1 day'::interval
'1 day - 2 hours'::interval
'1 day - 1:00'::interval
'- 1-2'::interval
'1 day -'::interval
