grant usage on schema domain_usage to public

create role ann

create domain du as int check (value > 0)

create domain keep as text

revoke usage on domain du from public

grant create on schema domain_usage to ann

grant ann to current_user

set role ann

create table tu (a du)

create table tk (a keep)

alter table tk add column b du

create function fu(a du) returns int language sql as 'select 1'

create function fu() returns du language sql as 'select 1'

create domain over as du

select 5::du

alter domain du set not null

drop domain du

comment on domain du is 'x'

reset role

grant usage on type du to ann

set role ann

create table tu (a du)

reset role

drop type nosuchtype

drop type if exists nosuchtype

drop type keep

drop type keep cascade

drop type du, nosuchtype
