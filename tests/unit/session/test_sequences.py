"""Sequences, identity and serial columns as sessions meet them, those that move included."""

from __future__ import annotations

import pytest
from memory_server import ARN, Peer, Server, errors, notices


def numbers(peer: Peer, text: str) -> list[int | None]:
    return [None if row[0] is None else int(row[0]) for row in peer.rows(text)]


def texts(peer: Peer, text: str) -> list[str]:
    return ["|".join("" if v is None else v.decode() for v in row) for row in peer.rows(text)]


@pytest.fixture
def one(postgres: Server) -> Peer:
    return postgres.connect()


@pytest.fixture
def other(postgres: Server, one: Peer) -> Peer:
    return postgres.connect()


class TestNextval:
    def test_it_is_not_rolled_back(self, one: Peer) -> None:
        one.query("create sequence s")
        one.query("begin")
        assert numbers(one, "select nextval('s')") == [1]
        one.query("rollback")
        assert numbers(one, "select nextval('s')") == [2]
        assert numbers(one, "select last_value from s") == [2]

    def test_sessions_take_turns_with_one_counter(self, one: Peer, other: Peer) -> None:
        one.query("create sequence s")
        found = [numbers(peer, "select nextval('s')")[0] for peer in (one, other, other, one)]
        assert found == [1, 2, 3, 4]
        assert numbers(one, "select currval('s')") == [4]
        assert numbers(other, "select currval('s')") == [3]

    def test_a_block_is_one_commit_and_its_sessions(
        self, postgres: Server, one: Peer, other: Peer
    ) -> None:
        one.query("create sequence s cache 100")
        before = postgres.store.now
        assert numbers(one, "select nextval('s') from generate_series(1, 100)")[-1] == 100
        assert postgres.store.now == before + 1
        assert numbers(other, "select nextval('s')") == [101]
        assert numbers(one, "select nextval('s')") == [201]

    def test_many_values_of_a_transaction_take_few_commits_and_leave_no_gap(
        self, postgres: Server, one: Peer, other: Peer
    ) -> None:
        one.query("create table t (id serial, a int)")
        before = postgres.store.now
        one.query("insert into t(a) select g from generate_series(1, 5000) g")
        assert postgres.store.now < before + 20
        assert texts(other, "select min(id), max(id), count(distinct id) from t") == ["1|5000|5000"]
        assert numbers(other, "select last_value from t_id_seq") == [5000]
        assert numbers(other, "insert into t(a) values (1) returning id") == [5001]
        assert numbers(one, "insert into t(a) values (1) returning id") == [5002]

    def test_of_what_was_taken_ahead_a_block_of_cache_stays_the_sessions(self, one: Peer) -> None:
        one.query("create sequence s increment -2 cache 3")
        one.query("begin")
        one.query("select nextval('s') from generate_series(1, 8)")
        one.query("commit")
        assert numbers(one, "select last_value from s") == [-17]  # the third block's end
        assert numbers(one, "select nextval('s') from generate_series(1, 2)") == [-17, -19]

    def test_a_value_that_was_set_is_not_given_back(self, one: Peer, other: Peer) -> None:
        one.query("create sequence s")
        one.query("begin")
        one.query("select nextval('s') from generate_series(1, 10)")
        one.query("select setval('s', 5)")
        one.query("commit")
        assert numbers(other, "select nextval('s')") == [6]

    def test_what_a_transaction_took_ahead_nobody_gets_while_it_runs(
        self, one: Peer, other: Peer
    ) -> None:
        one.query("create sequence s")
        one.query("begin")
        assert numbers(one, "select nextval('s') from generate_series(1, 10)")[-1] == 10
        assert numbers(one, "select last_value from s") == [10]
        (taken,) = numbers(other, "select nextval('s')")
        assert taken is not None
        assert taken > 10
        assert numbers(one, "select nextval('s')") == [11]
        one.query("rollback")
        assert numbers(one, "select nextval('s')") == [taken + 1]

    def test_an_old_snapshot_sees_the_counter_as_it_is_now(self, one: Peer, other: Peer) -> None:
        one.query("create sequence s")
        one.query("begin")
        assert texts(one, "select * from s") == ["1|0|f"]
        other.query("select nextval('s'), nextval('s')")
        assert numbers(one, "select nextval('s')") == [3]
        assert texts(one, "select * from s") == ["3|0|t"]
        assert numbers(one, "select pg_sequence_last_value('s')") == [3]
        one.query("commit")

    def test_it_is_called_for_each_row(self, one: Peer) -> None:
        one.query("create sequence s")
        one.query("create table t (a int)")
        one.query("insert into t select 0 from generate_series(1, 500)")
        assert len(set(numbers(one, "select nextval('s') from t"))) == 500
        assert numbers(one, "select count(*) from t where nextval('s') > 900") == [100]

    def test_a_read_only_transaction_may_not(self, one: Peer) -> None:
        one.query("create sequence s")
        for call in ("nextval('s')", "setval('s', 3)"):
            one.query("begin read only")
            function = call.partition("(")[0]
            message = f"cannot execute {function}() in a read-only transaction"
            assert one.fails(f"select {call}") == ("25006", message)
            one.query("rollback")

    def test_it_takes_usage_or_update_and_currval_select_or_usage(self, postgres: Server) -> None:
        admin = postgres.connect()
        admin.query("create sequence s")
        admin.query("create role reader login")
        admin.query(f"AWS IAM GRANT reader TO '{ARN}'")
        reader = postgres.connect(user="reader")
        denied = ("42501", "permission denied for sequence s")
        assert reader.fails("select nextval('s')") == denied
        admin.query("grant select on s to reader")
        assert reader.fails("select nextval('s')") == denied
        assert reader.fails("select currval('s')")[0] == "55000"
        admin.query("grant update on s to reader")
        assert numbers(reader, "select nextval('s')") == [1]
        admin.query("revoke all on s from reader")
        assert reader.fails("select nextval('s')") == denied

    def test_what_is_cached_is_given_up_with_the_right_to_it(self, postgres: Server) -> None:
        admin = postgres.connect()
        admin.query("create sequence s cache 10")
        admin.query("create role user1 login")
        admin.query(f"AWS IAM GRANT user1 TO '{ARN}'")
        admin.query("grant usage on s to user1")
        user = postgres.connect(user="user1")
        assert numbers(user, "select nextval('s')") == [1]
        admin.query("revoke usage on s from user1")
        assert user.fails("select nextval('s')")[0] == "42501"


class TestSetval:
    def test_it_is_where_all_go_on_that_have_nothing_cached(self, one: Peer, other: Peer) -> None:
        one.query("create sequence s cache 5")
        assert numbers(other, "select nextval('s')") == [1]
        assert numbers(one, "select setval('s', 40)") == [40]
        assert numbers(one, "select currval('s')") == [40]
        assert numbers(one, "select nextval('s')") == [41]
        assert numbers(other, "select nextval('s')") == [2]

    def test_what_was_not_called_comes_next(self, one: Peer) -> None:
        one.query("create sequence s")
        assert numbers(one, "select setval('s', 40, false)") == [40]
        assert one.fails("select currval('s')")[0] == "55000"
        assert numbers(one, "select nextval('s')") == [40]


class TestAlter:
    def test_what_another_session_has_cached_is_given_up(self, one: Peer, other: Peer) -> None:
        one.query("create sequence s cache 5")
        assert numbers(other, "select nextval('s')") == [1]
        one.query("alter sequence s increment 10")
        assert numbers(other, "select nextval('s')") == [15]
        assert numbers(other, "select nextval('s')") == [25]

    def test_nobody_takes_values_behind_its_back(self, one: Peer, other: Peer) -> None:
        one.query("create sequence s")
        one.query("begin")
        one.query("alter sequence s increment 2")
        assert numbers(other, "select nextval('s')") == [1]
        assert one.fails("commit")[0] == "40001"
        assert numbers(one, "select nextval('s')") == [2]

    def test_its_values_go_when_it_is_rolled_back_and_currval_stays(self, one: Peer) -> None:
        one.query("create sequence s")
        one.query("select nextval('s')")
        one.query("begin")
        one.query("alter sequence s restart 100")
        assert numbers(one, "select nextval('s')") == [100]
        one.query("rollback")
        assert numbers(one, "select currval('s')") == [100]
        assert numbers(one, "select nextval('s')") == [2]


class TestOwnTransaction:
    def test_a_sequence_that_was_never_made_leaves_nothing_behind(self, one: Peer) -> None:
        one.query("begin")
        one.query("create sequence s cache 20")
        assert numbers(one, "select nextval('s')") == [1]
        one.query("rollback")
        one.query("create sequence s cache 20")  # under the OID of the first one
        assert one.fails("select currval('s')")[0] == "55000"
        assert numbers(one, "select nextval('s')") == [1]

    def test_what_was_taken_in_it_stays_taken(self, one: Peer, other: Peer) -> None:
        one.query("begin")
        one.query("create sequence s")
        one.query("select nextval('s')")
        one.query("savepoint a")
        assert numbers(one, "select nextval('s')") == [2]
        one.query("rollback to a")
        assert numbers(one, "select nextval('s')") == [3]
        one.query("commit")
        assert numbers(one, "select currval('s')") == [3]
        assert numbers(other, "select nextval('s')") == [4]


class TestIdentity:
    def test_who_may_insert_needs_no_right_on_the_sequence(self, postgres: Server) -> None:
        admin = postgres.connect()
        admin.query("create table i (id int generated always as identity, a text)")
        admin.query("create table s (id serial, a text)")
        admin.query("create role writer login")
        admin.query(f"AWS IAM GRANT writer TO '{ARN}'")
        admin.query("grant insert, select on i, s to writer")
        writer = postgres.connect(user="writer")
        assert numbers(writer, "insert into i(a) values ('x'), ('y') returning id") == [1, 2]
        denied = ("42501", "permission denied for sequence s_id_seq")
        assert writer.fails("insert into s(a) values ('x')") == denied

    def test_a_restart_counts_at_once(self, one: Peer) -> None:
        one.query("create table t (id int generated always as identity (cache 10))")
        assert numbers(one, "insert into t default values returning id") == [1]
        one.query("truncate t restart identity")
        assert numbers(one, "insert into t default values returning id") == [1]
        one.query("alter table t alter id restart 40")
        assert numbers(one, "insert into t default values returning id") == [40]

    def test_a_copy_gives_its_own_values_or_takes_the_columns(self, one: Peer) -> None:
        one.query("create table t (id int generated always as identity, a text)")
        one.query("create table u (a text)")
        one.query("insert into u select 'x' from generate_series(1, 3)")
        assert numbers(
            one, "insert into t overriding user value select 9, a from u returning id"
        ) == [
            1,
            2,
            3,
        ]

    def test_a_primary_key_that_is_added_keeps_its_values(self, one: Peer) -> None:
        one.query("create table t (id int generated always as identity, a text)")
        one.query("insert into t(a) values ('x'), ('y')")
        one.query("alter table t add primary key (id)")
        assert texts(one, "select * from t order by id") == ["1|x", "2|y"]
        assert numbers(one, "insert into t(a) values ('z') returning id") == [3]

    def test_a_sequence_goes_with_its_column_and_not_before(self, one: Peer) -> None:
        one.query("create table t (a int, id int generated always as identity, b serial)")
        (error,) = errors(one.query("drop sequence t_id_seq"))
        assert (
            error["M"] == "cannot drop sequence t_id_seq because column id of table t requires it"
        )
        assert error["H"] == "You can drop column id of table t instead."
        (error,) = errors(one.query("drop sequence t_b_seq"))
        assert error["D"] == "default value for column b of table t depends on sequence t_b_seq"
        assert not notices(one.query("alter table t drop column id"))
        assert not notices(one.query("alter table t drop column b"))
        assert numbers(one, "select count(*) from pg_class where relkind = 'S'") == [0]


class TestNames:
    def test_a_default_follows_its_sequence(self, one: Peer) -> None:
        one.query("create schema shop")
        one.query("create sequence s")
        one.query("create table t (a int default nextval('s'), b text default '1'::regclass)")
        shown = "select pg_get_expr(adbin, adrelid) from pg_attrdef where adnum = 1"
        one.query('alter sequence s rename to "It\'s"')
        assert texts(one, shown) == ["nextval('\"It''s\"'::regclass)"]
        one.query('alter sequence "It\'s" set schema shop')
        assert texts(one, shown) == ["nextval('shop.\"It''s\"'::regclass)"]
        one.query("insert into t(b) values ('x')")
        assert numbers(one, "select a from t") == [1]

    def test_a_name_is_looked_up_late_where_it_was_written_as_a_text(self, one: Peer) -> None:
        one.query("create sequence s")
        one.query("create table t (a int default nextval('s'::text))")
        one.query("insert into t default values")
        one.query("drop sequence s")
        assert one.fails("insert into t default values") == ("42P01", 'relation "s" does not exist')


class TestDsqlProfile:
    def test_lastval_looks_no_further_back_than_its_transaction(self, peer: Peer) -> None:
        peer.query("create sequence s cache 65536")
        peer.query("begin")
        peer.query("select nextval('s')")
        assert numbers(peer, "select lastval()") == [1]
        peer.query("commit")
        assert peer.fails("select lastval()")[0] == "55000"
        assert numbers(peer, "select currval('s')") == [1]

    @pytest.mark.parametrize(
        ("statement", "message"),
        [
            (
                "create sequence s",
                "CREATE SEQUENCE is not supported without an explicit cache size. "
                "please define CACHE greater than or equal to 65536 or equal to 1",
            ),
            (
                "create table t (a bigint generated always as identity (cache 2))",
                "identity column is not supported without an explicit cache size. "
                "please define CACHE greater than or equal to 65536 or equal to 1",
            ),
            (
                "create table t (a int generated always as identity (cache 1))",
                "datatype integer not supported, identity column type must be bigint",
            ),
            (
                "alter table b alter a add generated always as identity",
                "identity column is not supported without an explicit cache size. "
                "please define CACHE greater than or equal to 65536 or equal to 1",
            ),
            (
                "alter table b alter c add generated always as identity (cache 1)",
                "datatype integer not supported, identity column type must be bigint",
            ),
            (
                "create sequence s as integer cache 1",
                "datatype integer not supported, sequence type must be bigint",
            ),
            (
                "alter sequence q cache 5",
                "ALTER SEQUENCE is not supported without an explicit cache size. "
                "please define CACHE greater than or equal to 65536 or equal to 1",
            ),
        ],
    )
    def test_what_it_refuses_it_refuses_in_its_words(
        self, peer: Peer, statement: str, message: str
    ) -> None:
        peer.query("create table b (a bigint not null, c int not null)")
        peer.query("create sequence q cache 1")
        assert peer.fails(statement) == ("0A000", message)

    def test_an_identity_column_is_added_with_a_cache(self, peer: Peer) -> None:
        peer.query("create table b (a bigint not null, c int)")
        peer.query("alter table b alter a add generated by default as identity (cache 65536)")
        assert numbers(peer, "insert into b(c) values (1), (2) returning a") == [1, 2]
