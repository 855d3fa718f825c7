-- Expressions that are the same though they are written twice, over tables of all kinds.
create table odd (id int4 primary key, mail text, active bool);
create unique index on odd (lower(mail));
create unique index on odd (id) where active;
insert into odd values (1, 'A', true), (2, 'b', false);
select distinct on ((select o.id from odd o where o.active limit 1)) (select o.id from odd o where o.active limit 1), active from odd order by 1, 2;
select (select count(*) from odd o) from odd group by (select count(*) from odd o);
select (select o.id from odd o where o.id = p.id) from odd p group by (select o.id from odd o where o.id = p.id) order by 1;
select exists (select from odd o where o.mail > p.mail) from odd p group by exists (select from odd o where o.mail > p.mail) order by 1;
drop table odd;
