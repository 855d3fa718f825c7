"""A role without rights gets nowhere in the dsql profile; the postgres profile's matrix is differential."""

import pytest
from memory_server import ARN, Peer, errors, notices, rows, tags

from dsql.wire import client

DENIED = ("42501", "permission denied for table t")
NOT_OWNER = ("42501", "must be owner of table t")
ROLE = ("42501", 'permission denied to set role "admin"')


@pytest.fixture
def admin(server) -> Peer:
    admin = server.connect()
    admin.query("CREATE TABLE t (id int PRIMARY KEY, b int)")
    admin.query("CREATE INDEX ASYNC i ON t (b)")
    admin.query("CREATE SCHEMA s")
    admin.query("CREATE TABLE s.t (id int PRIMARY KEY)")
    for role in ("reader", "other"):
        admin.query(f"CREATE ROLE {role} WITH LOGIN")
        admin.query(f"AWS IAM GRANT {role} TO '{ARN}'")
    return admin


@pytest.fixture
def reader(admin, server) -> Peer:
    return server.connect(user="reader")


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("SELECT * FROM t", DENIED),
        ("INSERT INTO t VALUES (1)", DENIED),
        ("UPDATE t SET id = 2", DENIED),
        ("DELETE FROM t", DENIED),
        ("SELECT * FROM s.t", ("42501", "permission denied for schema s")),
        ("EXPLAIN SELECT * FROM t", DENIED),
        ("EXPLAIN ANALYZE DELETE FROM t", DENIED),
        ("COPY t TO STDOUT", DENIED),
        ("COPY (SELECT * FROM t) TO STDOUT", DENIED),
        ("COPY t FROM STDIN", DENIED),
        ("DROP TABLE t", NOT_OWNER),
        ("DROP INDEX i", ("42501", "must be owner of index i")),
        ("DROP SCHEMA s CASCADE", ("42501", "must be owner of schema s")),
        ("ALTER TABLE t OWNER TO reader", NOT_OWNER),
        ("ALTER TABLE t OWNER TO CURRENT_USER", NOT_OWNER),
        ("ALTER TABLE t RENAME TO x", NOT_OWNER),
        ("ALTER TABLE t ADD COLUMN c int", NOT_OWNER),
        ("ALTER TABLE t DROP COLUMN b", NOT_OWNER),
        ("ALTER TABLE t SET SCHEMA s", NOT_OWNER),
        ("ALTER INDEX i RENAME TO x", ("42501", "must be owner of index i")),
        ("ALTER SCHEMA s RENAME TO x", ("42501", "must be owner of schema s")),
        ("CREATE INDEX ASYNC ON t (b)", NOT_OWNER),
        ("CREATE TABLE x (a int)", ("42501", "permission denied for schema public")),
        ("CREATE TABLE s.x (a int)", ("42501", "permission denied for schema s")),
        ("CREATE SCHEMA x", ("42501", "permission denied for database postgres")),
        ("CREATE ROLE x", ("42501", "permission denied to create role")),
        ("DROP ROLE other", ("42501", "permission denied to drop role")),
        ("BEGIN; SET LOCAL ROLE admin", ROLE),
        ("BEGIN; SET LOCAL \"ROLE\" = 'admin'", ROLE),
        ("SELECT set_config('role', 'admin', true)", ROLE),
        (
            f"AWS IAM GRANT other TO '{ARN}'",
            ("42501", "permission denied to grant IAM trust with role other"),
        ),
    ],
)
def test_a_role_without_rights_is_refused(reader, statement, refusal):
    assert reader.fails(statement) == refusal


def test_what_another_owns_is_not_analyzed(reader):
    answers = reader.query("ANALYZE t")
    assert tags(answers) == ["ANALYZE"]
    text = 'permission denied to analyze "t", skipping it'
    assert [fields["M"] for fields in notices(answers)] == [text]


def test_system_tables_are_open(reader):
    assert reader.rows("SELECT relname FROM pg_class WHERE relname = 'i'") == [[b"i"]]


def test_everybody_sees_jobs_and_may_wait_for_one(admin, reader):
    admin.query("INSERT INTO t VALUES (1, 5)")
    ((job,),) = admin.rows("CREATE INDEX ASYNC j ON t (b)")
    wait = f"CALL sys.wait_for_job('{job.decode()}')"
    for peer in (admin, reader):
        query = f"SELECT status FROM sys.jobs WHERE job_id = '{job.decode()}'"
        assert peer.rows(query) == [[b"completed"]]
        assert not errors(peer.query(wait))
        assert peer.rows("SELECT pg_role_name FROM sys.iam_pg_role_mappings ORDER BY 1")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("INSERT INTO sys.jobs (job_id) VALUES ('x')", "permission denied for table jobs"),
        ("UPDATE sys.jobs SET status = 'completed'", "permission denied for table jobs"),
        ("DELETE FROM sys.jobs", "permission denied for table jobs"),
        ("COPY sys.jobs FROM STDIN", "permission denied for view jobs"),
        ("DROP VIEW sys.jobs", "must be owner of view jobs"),
        ("ALTER TABLE sys.jobs ADD COLUMN c int", "must be owner of view jobs"),
        ("CREATE INDEX ASYNC ON sys.jobs (job_id)", "must be owner of view jobs"),
        ("CREATE TABLE sys.x (a int)", "permission denied for schema sys"),
        ("DROP SCHEMA sys CASCADE", "must be owner of schema sys"),
        (
            "DELETE FROM sys.iam_pg_role_mappings",
            "permission denied for table iam_pg_role_mappings",
        ),
        ("DELETE FROM pg_class", "permission denied for table pg_class"),
        ("DROP TABLE pg_class", "must be owner of table pg_class"),
        ("CREATE TABLE pg_catalog.x (a int)", "permission denied for schema pg_catalog"),
    ],
)
def test_what_is_the_systems_nobody_changes(admin, reader, statement, message):
    for peer in (admin, reader):
        assert peer.fails(statement) == ("42501", message)


def test_nobody_sees_what_is_for_superusers(admin, reader):
    for peer in (admin, reader):
        assert peer.fails("SELECT rolname FROM pg_authid") == (
            "42501",
            "permission denied for table pg_authid",
        )
        assert peer.fails("WITH q AS (SELECT * FROM pg_shadow) SELECT 1 FROM q")[0] == "42501"
        assert peer.fails("COPY pg_statistic TO STDOUT")[0] == "42501"
        assert peer.rows("SELECT has_table_privilege('pg_authid', 'select')") == [[b"f"]]
        assert peer.rows("SELECT has_table_privilege('pg_roles', 'select')") == [[b"t"]]


def test_what_is_skipped_is_said_before_a_right_is_missed(reader):
    answers = reader.query("DROP TABLE IF EXISTS nope, t")
    said = [fields["M"] for fields in (*notices(answers), *errors(answers))]
    assert said == ['table "nope" does not exist, skipping', "must be owner of table t"]


def test_what_a_role_may_not_read_no_error_shows(admin, reader):
    admin.query("CREATE TABLE c (a int PRIMARY KEY, b int NOT NULL, d text CHECK (d <> ''))")
    admin.query("GRANT INSERT, SELECT (a) ON c TO reader")
    admin.query("INSERT INTO c VALUES (1, 2, 'secret')")
    shown = []
    for values in ("(b) VALUES (3)", "VALUES (4, 5, '')", "VALUES (1, 6, 'x')"):
        (fields,) = errors(reader.query(f"INSERT INTO c {values}"))
        shown.append(fields.get("D"))
    assert shown == [
        "Failing row contains (a, b) = (null, 3).",
        "Failing row contains (a, b, d) = (4, 5, ).",
        "Key (a)=(1) already exists.",
    ]
    admin.query("REVOKE SELECT (a) ON c FROM reader")
    assert "D" not in errors(reader.query("INSERT INTO c VALUES (1, 6, 'x')"))[0]


def test_rights_are_looked_at_again_when_they_change(admin, reader):
    round_trip = (client.bind(statement="q"), client.execute(), client.sync())
    admin.query("GRANT SELECT ON t TO reader")
    assert not errors(reader.ask(client.parse("SELECT count(*) FROM t", "q"), client.sync()))
    for _ in range(3):
        assert rows(reader.ask(*round_trip)) == [[b"0"]]
    admin.query("REVOKE SELECT ON t FROM reader")
    assert errors(reader.ask(*round_trip))[0]["M"] == "permission denied for table t"
    admin.query("GRANT SELECT (b) ON t TO reader")
    assert rows(reader.ask(*round_trip)) == [[b"0"]]


def test_of_two_roles_in_one_process_each_has_its_own_rights(admin, server):
    """Plans are shared by the sessions of a query processor."""
    admin.query("GRANT SELECT ON t TO reader")
    environment = server.environment()
    sessions = [server.start(environment, user=user) for user in ("reader", "other")]
    for session in sessions:
        session.until_ready()
    reader, other = sessions
    for _ in range(2):
        assert reader.rows("SELECT count(*) FROM t") == [[b"0"]]
        assert other.fails("SELECT count(*) FROM t") == DENIED


def test_a_statement_prepared_without_the_right_runs_once_it_is_granted(admin, reader):
    text = client.parse("INSERT INTO t VALUES ($1) RETURNING id", "x")
    run = client.bind([b"7"], statement="x"), client.execute(), client.sync()
    assert not errors(reader.ask(text, client.describe(b"S", "x"), client.sync()))
    assert errors(reader.ask(*run))[0]["C"] == "42501"
    admin.query("GRANT INSERT, SELECT ON t TO reader")
    assert rows(reader.ask(*run)) == [[b"7"]]
    admin.query("REVOKE INSERT ON t FROM reader")
    assert errors(reader.ask(*run))[0]["C"] == "42501"
    admin.query("GRANT INSERT ON t TO reader")
    admin.query("ALTER TABLE t RENAME TO y")
    assert errors(reader.ask(*run))[0]["C"] == "42P01"


def test_why_a_job_failed_is_shown_to_who_may_read_its_table(admin, reader):
    admin.query("INSERT INTO t VALUES (1, 5), (2, 5)")
    assert not errors(admin.query("CREATE UNIQUE INDEX ASYNC u ON t (b)"))
    query = "SELECT details FROM sys.jobs WHERE status = 'failed'"
    shown = [[b"Found duplicate key while validating index for UCVs"]]
    assert admin.rows(query) == shown
    assert reader.rows(query) == [[None]]
    admin.query("GRANT SELECT (b) ON t TO reader")
    assert reader.rows(query) == [[None]]
    admin.query("GRANT SELECT ON t TO reader")
    assert reader.rows(query) == shown
