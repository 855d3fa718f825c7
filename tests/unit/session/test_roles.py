"""Roles over sessions: who may change them, who is in them, and what goes with their names."""

from __future__ import annotations

import pytest
from memory_server import ARN, Peer, Server, errors, notices, tags


@pytest.fixture
def admin(postgres: Server) -> Peer:
    peer = postgres.connect()
    for statement in (
        "create role boss login createrole",
        "create role worker login",
        "create role plain",
    ):
        assert tags(peer.query(statement)) == ["CREATE ROLE"]
    for role in ("boss", "worker"):
        peer.query(f"aws iam grant {role} to '{ARN}'")
    return peer


MEMBERS = """
    select r.rolname, m.rolname, g.rolname, admin_option, inherit_option, set_option
    from pg_auth_members a join pg_roles r on r.oid = roleid join pg_roles m on m.oid = member
    join pg_roles g on g.oid = grantor order by 1, 2, 3
"""


def members(peer: Peer) -> list[str]:
    return [" ".join(value.decode() for value in row if value) for row in peer.rows(MEMBERS)]


def said(answers: list[tuple[str, bytes]]) -> list[tuple[str, str]]:
    return [(fields["C"], fields["M"]) for fields in (*notices(answers), *errors(answers))]


def detail(peer: Peer, statement: str) -> str:
    return errors(peer.query(statement))[0].get("D", "")


def test_a_creator_administers_without_having_the_rights(admin: Peer):
    assert members(admin) == [f"{role} admin admin t f f" for role in ("boss", "plain", "worker")]


def test_admin_grants_itself_a_role_and_keeps_its_administration(admin: Peer):
    admin.query("grant plain to admin")
    assert {"plain admin admin t f f", "plain admin admin f t t"} <= set(members(admin))
    again = said(admin.query("grant plain to admin"))
    text = 'role "admin" has already been granted membership in role "plain" by role "admin"'
    assert again == [("00000", text)]
    assert tags(admin.query("revoke plain from admin")) == ["REVOKE ROLE"]
    assert [each for each in members(admin) if "plain" in each] == ["plain admin admin t f f"]
    text = 'role "admin" has not been granted membership in role "plain" by role "admin"'
    assert said(admin.query("revoke admin option for plain from admin")) == [("01000", text)]


def test_options_are_changed_one_by_one(admin: Peer):
    admin.query("grant plain to worker with inherit false, set true")
    assert "plain worker admin f f t" in members(admin)
    admin.query("grant plain to worker with admin true")
    assert "plain worker admin t f t" in members(admin)
    admin.query("revoke set option for plain from worker")
    assert "plain worker admin t f f" in members(admin)
    assert admin.fails("grant plain to worker with nonsense true") == (
        "42601", 'unrecognized role option "nonsense"',
    )  # fmt: skip


def test_the_default_of_inherit_is_the_members_attribute(admin: Peer):
    admin.query("create role loner noinherit")
    admin.query("grant plain to loner")
    assert "plain loner admin f f t" in members(admin)


def test_nobody_grants_a_role_without_its_admin_option(postgres: Server, admin: Peer):
    worker = postgres.connect(user="worker")
    answers = worker.query("grant plain to worker")
    assert said(answers) == [("42501", 'permission denied to grant role "plain"')]
    wanted = 'Only roles with the ADMIN option on role "plain" may grant this role.'
    assert errors(answers)[0]["D"] == wanted
    assert worker.fails("revoke plain from admin") == (
        "42501", 'permission denied to revoke role "plain"',
    )  # fmt: skip
    assert admin.fails("grant admin to worker") == (
        "42501",
        'permission denied to grant role "admin"',
    )


def test_granting_on_and_revoking_with_what_depends(postgres: Server, admin: Peer):
    admin.query("grant plain to worker with admin option")
    worker = postgres.connect(user="worker")
    worker.query("grant plain to boss")
    assert "plain boss worker f t t" in members(admin)
    assert said(admin.query("revoke plain from worker")) == [
        ("2BP01", "dependent privileges exist")
    ]
    admin.query("revoke admin option for plain from worker cascade")
    assert [line for line in members(admin) if line.startswith("plain")] == [
        "plain admin admin t f f",
        "plain worker admin f t t",
    ]


def test_the_admin_option_does_not_come_back_to_its_grantor(postgres: Server, admin: Peer):
    admin.query("grant plain to worker with admin option")
    postgres.connect(user="worker").query("grant plain to boss with admin option")
    boss = postgres.connect(user="boss")
    assert boss.fails("grant plain to worker with admin option") == (
        "0LP01", "ADMIN option cannot be granted back to your own grantor",
    )  # fmt: skip


def test_memberships_make_no_circle(admin: Peer):
    admin.query("grant plain to worker")
    assert admin.fails("grant worker to plain") == (
        "0LP01", 'role "worker" is a member of role "plain"',
    )  # fmt: skip
    assert admin.fails("grant plain to plain") == (
        "0LP01",
        'role "plain" is a member of role "plain"',
    )


def test_granted_by_names_somebody_whose_privileges_one_has(admin: Peer):
    assert admin.fails("grant plain to worker granted by boss") == (
        "42501", 'permission denied to grant privileges as role "boss"',
    )  # fmt: skip
    admin.query("grant boss to admin")
    wanted = 'The grantor must have the ADMIN option on role "plain".'
    assert detail(admin, "grant plain to worker granted by boss") == wanted
    admin.query("grant plain to boss with admin option")
    admin.query("grant plain to worker granted by boss")
    assert "plain worker boss f t t" in members(admin)


def test_create_role_takes_members_and_roles(postgres: Server, admin: Peer):
    admin.query("create role team in role plain role worker admin boss")
    assert {line for line in members(admin) if "team" in line} == {
        "plain team admin f t t",
        "team admin admin t f f",
        "team boss admin t t t",
        "team worker admin f t t",
    }
    boss = postgres.connect(user="boss")
    assert boss.fails("create role x in role plain")[0] == "42501"
    assert admin.fails("create role x login login") == ("42601", "conflicting or redundant options")


def test_attributes_are_given_by_those_who_have_them(postgres: Server, admin: Peer):
    assert detail(admin, "create role x superuser") == (
        "Only roles with the SUPERUSER attribute may create roles with the SUPERUSER attribute."
    )
    assert detail(admin, "alter role worker createdb") == (
        "Only roles with the CREATEDB attribute may change the CREATEDB attribute."
    )
    worker = postgres.connect(user="worker")
    assert (
        detail(worker, "create role x")
        == "Only roles with the CREATEROLE attribute may create roles."
    )
    assert worker.fails("alter role worker nologin") == ("42501", "permission denied to alter role")
    assert admin.fails("alter role admin nologin") == ("42501", "permission denied to alter role")
    boss = postgres.connect(user="boss")
    assert boss.fails("alter role worker nologin") == ("42501", "permission denied to alter role")
    assert tags(admin.query("alter role worker nologin")) == ["ALTER ROLE"]


def test_a_group_is_altered_member_by_member(admin: Peer):
    assert tags(admin.query("alter group plain add user worker, boss")) == ["ALTER ROLE"]
    assert "plain worker admin f t t" in members(admin)
    admin.query("alter group plain drop user worker, boss")
    assert not [line for line in members(admin) if line.startswith(("plain worker", "plain boss"))]


@pytest.mark.parametrize("name", ["public", "none"])
def test_some_names_are_reserved(admin: Peer, name: str):
    assert admin.fails(f"create role {name}") == ("42939", f'role name "{name}" is reserved')
    assert admin.fails("create role current_user") == (
        "42939", "CURRENT_USER cannot be used as a role name here",
    )  # fmt: skip
    assert admin.fails("grant plain to public") == ("42704", 'role "public" does not exist')
    assert admin.fails("drop role session_user") == (
        "22023", "cannot use special role specifier in DROP ROLE",
    )  # fmt: skip


def test_rights_go_with_the_role_and_not_with_its_name(postgres: Server, admin: Peer):
    admin.query("create table t (id int primary key)")
    admin.query("grant select on t to worker")
    admin.query("alter role worker rename to former")
    admin.query("create role worker login")
    admin.query(f"aws iam grant worker to '{ARN}'")
    fresh = postgres.connect(user="worker")
    assert fresh.fails("select * from t") == ("42501", "permission denied for table t")
    former = postgres.connect(user="former")
    assert former.rows("select * from t") == []
    assert admin.rows("select relacl from pg_class where relname = 't'") == [
        [b"{admin=arwdDxt/admin,former=r/admin}"]
    ]


def test_a_role_that_things_depend_on_stays(admin: Peer):
    admin.query("create table t (id int primary key, b int)")
    admin.query("create schema s")
    admin.query("grant select on t to plain; grant usage on schema s to plain")
    admin.query("grant update (b) on t to plain")
    answers = errors(admin.query("drop role plain"))
    message = 'role "plain" cannot be dropped because some objects depend on it'
    assert (answers[0]["C"], answers[0]["M"]) == ("2BP01", message)
    assert answers[0]["D"] == (
        "privileges for table t\nprivileges for column b of table t\nprivileges for schema s"
    )
    admin.query("revoke all on t from plain; revoke all on schema s from plain")
    admin.query("grant plain to worker")
    assert tags(admin.query("drop role plain")) == ["DROP ROLE"]
    assert not [line for line in members(admin) if "plain" in line]


def test_the_grantor_of_a_membership_stays(postgres: Server, admin: Peer):
    admin.query("grant plain to boss with admin option; aws iam revoke boss from '" + ARN + "'")
    admin.query("grant boss to admin; grant plain to worker granted by boss")
    assert detail(admin, "drop role boss") == (
        "privileges for membership of role worker in role plain"
    )
    assert tags(admin.query("drop role boss, plain")) == ["DROP ROLE"]


def test_a_role_begins_its_sessions_with_its_settings(postgres: Server, admin: Peer):
    for statement in (
        'alter role worker set search_path to a, "B c"',
        "alter role worker set datestyle = 'german'",
        "alter role worker in database postgres set work_mem = '8MB'",
    ):
        assert tags(admin.query(statement)) == ["ALTER ROLE"], statement
    config = [b'{"search_path=a, \\"B c\\"",DateStyle=german,work_mem=8MB}']
    assert admin.rows("select rolconfig from pg_roles where rolname = 'worker'") == [config]
    assert admin.rows("select setconfig from pg_db_role_setting") == [config]
    worker = postgres.connect(user="worker")
    assert worker.rows("show search_path") == [[b'a, "B c"']]
    assert worker.rows("show datestyle") == [[b"German, DMY"]]
    worker.query("set datestyle = 'iso'; reset datestyle")
    assert worker.rows("show datestyle") == [[b"German, DMY"]]
    admin.query("alter role worker reset datestyle")
    assert postgres.connect(user="worker").rows("show datestyle") == [[b"ISO, MDY"]]
    admin.query("alter role worker reset all")
    assert admin.rows("select count(*) from pg_db_role_setting") == [[b"0"]]


@pytest.mark.parametrize(
    ("statement", "sqlstate", "message"),
    [
        (
            "alter role worker set nosuch = 1",
            "42704",
            'unrecognized configuration parameter "nosuch"',
        ),
        (
            "alter role worker set app.x = 'y'",
            "42501",
            'permission denied to set parameter "app.x"',
        ),
        (
            "alter role worker in database x set work_mem = 1",
            "3D000",
            'database "x" does not exist',
        ),
        ("alter role nobody set work_mem = 1", "42704", 'role "nobody" does not exist'),
        ("alter role all set work_mem = 1", "42501", "permission denied to alter setting"),
    ],
)
def test_settings_that_a_role_cannot_begin_with(
    admin: Peer, statement: str, sqlstate: str, message: str
):
    assert admin.fails(statement) == (sqlstate, message)


def test_admin_sets_what_its_own_sessions_begin_with(postgres: Server, admin: Peer):
    assert tags(admin.query("alter role admin set timezone = 'Asia/Tokyo'")) == ["ALTER ROLE"]
    assert postgres.connect().rows("show timezone") == [[b"Asia/Tokyo"]]
    boss = postgres.connect(user="boss")
    denied = "42501", "permission denied to alter role"
    assert boss.fails("alter role admin reset timezone") == denied
    assert tags(admin.query("alter role current_user reset all")) == ["ALTER ROLE"]
    assert postgres.connect().rows("show timezone") == [[b"UTC"]]


def test_a_session_begins_in_the_role_that_its_role_is_set_to(postgres: Server, admin: Peer):
    assert said(admin.query("alter role worker set role = plain")) == [
        ("42501", 'permission will be denied to set role "plain"')
    ]
    assert postgres.connect(user="worker").rows("select current_user") == [[b"worker"]]
    admin.query("grant plain to worker")
    worker = postgres.connect(user="worker")
    assert worker.rows("select current_user, session_user") == [[b"plain", b"worker"]]
    worker.query("set role none")
    assert worker.rows("select current_user") == [[b"worker"]]
    worker.query("reset role")
    assert worker.rows("select current_user") == [[b"plain"]]
    worker.query(
        "alter role current_user reset role; set role none; alter role current_user reset role"
    )
    assert postgres.connect(user="worker").rows("select current_user") == [[b"worker"]]


def test_settings_are_altered_by_the_role_and_its_administrators(postgres: Server, admin: Peer):
    worker = postgres.connect(user="worker")
    assert tags(worker.query("alter role current_user set work_mem = '9MB'")) == ["ALTER ROLE"]
    assert worker.fails("alter role plain set work_mem = '9MB'") == (
        "42501", "permission denied to alter role",
    )  # fmt: skip


def test_psql_16_lists_grants_of_roles(admin: Peer):
    admin.query("grant plain to worker with admin option")
    rows = admin.rows(
        """
        SELECT m.rolname, r.rolname, pg_catalog.concat_ws(', ',
            CASE WHEN pam.admin_option THEN 'ADMIN' END,
            CASE WHEN pam.inherit_option THEN 'INHERIT' END,
            CASE WHEN pam.set_option THEN 'SET' END), g.rolname
        FROM pg_catalog.pg_roles m JOIN pg_catalog.pg_auth_members pam ON (pam.member = m.oid)
            LEFT JOIN pg_catalog.pg_roles r ON (pam.roleid = r.oid)
            LEFT JOIN pg_catalog.pg_roles g ON (pam.grantor = g.oid)
        WHERE r.oid IS NOT NULL ORDER BY 1, 2, 4
        """
    )
    assert [b"worker", b"plain", b"ADMIN, INHERIT, SET", b"admin"] in rows


def test_what_was_said_before_an_error_is_told(admin: Peer):
    assert said(admin.query("revoke plain, nope from worker")) == [
        ("01000", 'role "worker" has not been granted membership in role "plain" by role "admin"'),
        ("42704", 'role "nope" does not exist'),
    ]
    assert said(admin.query("drop role if exists nope, admin")) == [
        ("00000", 'role "nope" does not exist, skipping'),
        ("55006", "current user cannot be dropped"),
    ]


def test_aurora_dsqls_admin_stays_as_it_is() -> None:
    server = Server("dsql")
    admin = server.connect()
    for change in ("set timezone = 'UTC'", "reset all", "nologin"):
        assert admin.fails(f"alter role admin {change}") == (
            "42501",
            "permission denied to alter role",
        )
    admin.query("create role plain with login")
    assert tags(admin.query("alter role plain set timezone = 'UTC'")) == ["ALTER ROLE"]
    server.stop()
