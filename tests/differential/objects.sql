-- What is beside a table of the matrix: {t} is its name, {whom} who was granted it as a whole, {few} who some of it.
create view {t}_v as select a, b, c from {t}
create view {t}_i with (security_invoker) as select a, b, c from {t}
create view {t}_z with (security_barrier) as select a, b, c from {t} where a > 0 with check option
grant select, insert, update, delete on {t}_v, {t}_i, {t}_z to {whom}
grant select (a), insert (a, b), update (b) on {t}_v, {t}_i, {t}_z to {few}
create sequence {t}_q
grant usage, select, update on sequence {t}_q to {whom}
grant usage on sequence {t}_q to {few}
create table {t}_g (a bigint generated always as identity, b int, c bigint default nextval('{t}_q'), primary key (a))
grant insert, select on {t}_g to {whom}
grant insert (b) on {t}_g to {few}
create domain {t}_d as int check (value > 0)
create type {t}_e as enum ('x', 'y')
revoke usage on type {t}_d, {t}_e from public
grant usage on type {t}_d, {t}_e to {whom}
create function {t}_f(a int = 0) returns int immutable language sql as 'select a'
create function {t}_s() returns bigint security definer language sql as 'select count(*) from {t}'
create function {t}_l() returns bigint stable language sql as 'select count(*) from {t}'
revoke execute on function {t}_f(int), {t}_s(), {t}_l() from public
grant execute on function {t}_f(int), {t}_s(), {t}_l() to {whom}
create statistics {t}_x on a, b from {t}
grant references on {t} to {whom}
grant references (a) on {t} to {few}
