import json
import re
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.iam.condition import parse_conditions
from dsql.iam.document import (
    TRUST,
    Policy,
    parse_identity_policy,
    parse_policy,
    parse_resource_policy,
)
from dsql.iam.evaluation import Grants, decide, decide_trust
from dsql.iam.patterns import marked, matches
from dsql.iam.request import AccessRequest, Decision, request_context

ACCOUNT, STRANGER = "111122223333", "999999999999"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
CLUSTER = f"arn:aws:dsql:us-east-1:{ACCOUNT}:cluster/{'a' * 26}"
ACTION = "dsql:DbConnect"


def own(
    effect: str = "Allow", action: str = "dsql:*", version: str = "2008-10-17", **fields: Any
) -> Policy:
    statement = {"Effect": effect, "Action": action, "Resource": "*"} | fields
    return parse_identity_policy({"Version": version, "Statement": statement})


def clusters(effect: str, principal: Any, action: str = "dsql:*") -> Policy:
    statement = {"Effect": effect, "Principal": principal, "Action": action, "Resource": "*"}
    return parse_resource_policy(json.dumps({"Statement": statement}))


def asked(principal: str = ALICE, **context: str) -> AccessRequest:
    values = {key.replace("__", ":").replace("_", "-"): (v,) for key, v in context.items()}
    return AccessRequest(principal, ACTION, CLUSTER, values)


def decided(
    request: AccessRequest, own: Sequence[Policy], resource: Policy | None = None
) -> Decision:
    return decide(request, Grants(tuple(own)), resource)


def test_nothing_is_allowed_unless_a_statement_says_so() -> None:
    decision = decided(asked(), [], None)
    assert not decision.allowed
    assert decision.message(asked()) == (
        f"User: {ALICE} is not authorized to perform: {ACTION} on resource: {CLUSTER} "
        f"because no identity-based policy allows the {ACTION} action"
    )


@pytest.mark.parametrize(
    ("identity", "resource", "words"),
    [
        ([own(), own("Deny")], None, "an identity-based"),
        ([own()], clusters("Deny", "*"), "a resource-based"),
        ([own("Deny")], clusters("Allow", {"AWS": ALICE}), "an identity-based"),
    ],
)
def test_a_deny_of_either_side_beats_every_allow(
    identity: list[Policy], resource: Policy | None, words: str
) -> None:
    decision = decided(asked(), identity, resource)
    assert decision == (False, f"with an explicit deny in {words} policy")


def test_within_an_account_either_side_may_allow() -> None:
    assert decided(asked(), [own()], None).allowed
    assert decided(asked(), [own()], clusters("Allow", {"AWS": f"{ALICE}2"})).allowed
    assert decided(asked(), [], clusters("Allow", {"AWS": ALICE})).allowed
    assert decided(asked(), [], clusters("Allow", "*")).allowed


def test_what_a_cluster_allows_to_the_account_is_the_accounts_to_decide() -> None:
    delegated = clusters("Allow", {"AWS": ACCOUNT})
    assert not decided(asked(), [], delegated).allowed
    assert decided(asked(), [own()], delegated).allowed
    assert not decided(asked(), [own()], clusters("Deny", {"AWS": ACCOUNT})).allowed


def test_a_stranger_needs_both_sides() -> None:
    stranger = asked(f"arn:aws:iam::{STRANGER}:user/eve")
    to_them = clusters("Allow", {"AWS": stranger.principal})
    assert not decided(stranger, [own()], None).allowed
    assert not decided(stranger, [], to_them).allowed
    assert decided(stranger, [own()], to_them).allowed


def test_a_session_is_its_role() -> None:
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/Writer/laptop"
    role = f"arn:aws:iam::{ACCOUNT}:role/Writer"
    assert decided(asked(session), [], clusters("Allow", {"AWS": role})).allowed


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({"Action": "DSQL:dbconnect"}, True),
        ({"Action": "dsql:DbConnect?"}, False),
        ({"Action": ["dsql:Get*", "dsql:DbC*t"]}, True),
        ({"Resource": "arn:aws:dsql:*:*:cluster/a*"}, True),
        ({"Resource": f"{CLUSTER[:-1]}[a]"}, False),
        ({"Resource": "arn:aws:dsql:us-east-1:${aws:PrincipalAccount}:cluster/*"}, False),
    ],
)
def test_actions_and_resources_have_wildcards(fields: dict[str, Any], allowed: bool) -> None:
    assert decided(asked(), [own(**fields)], None).allowed == allowed


def test_what_is_excluded_is_all_that_a_statement_does_not_cover() -> None:
    all_but = {"Effect": "Allow", "NotAction": "dsql:DbConnect", "Resource": "*"}
    policy = parse_identity_policy({"Statement": all_but})
    assert not decided(asked(), [policy], None).allowed
    assert decided(asked()._replace(action="dsql:GetCluster"), [policy], None).allowed


@pytest.mark.parametrize(
    ("block", "holds"),
    [
        ({"StringEquals": {"aws:ResourceTag/Stage": ["dev", "test"]}}, True),
        ({"StringEquals": {"AWS:resourcetag/stage": "Test"}}, False),
        ({"StringEqualsIgnoreCase": {"aws:ResourceTag/stage": "TEST"}}, True),
        ({"StringNotEquals": {"aws:ResourceTag/stage": ["dev", "test"]}}, False),
        ({"StringNotEquals": {"aws:ResourceTag/owner": "me"}}, True),
        ({"StringEquals": {"aws:ResourceTag/owner": "me"}}, False),
        ({"StringEqualsIfExists": {"aws:ResourceTag/owner": "me"}}, True),
        ({"StringLike": {"aws:ResourceTag/stage": "t*t"}}, True),
        ({"StringLike": {"aws:ResourceTag/stage": "${aws:username}"}}, False),
        ({"Null": {"aws:ResourceTag/owner": "true"}}, True),
        ({"Null": {"aws:ResourceTag/stage": True}}, False),
        ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "192.0.2.7"]}}, True),
        ({"IpAddress": {"aws:SourceIp": "2001:db8::/32"}}, False),
        ({"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, False),
        ({"ForAnyValue:StringNotEquals": {"aws:ResourceTag/owner": "me"}}, False),
        ({"ForAnyValue:StringNotEquals": {"aws:TagKeys": "a"}}, True),
        ({"StringNotEquals": {"aws:TagKeys": "a"}}, False),
        ({"StringEquals": {"aws:TagKeys": "a"}}, False),
        ({"Null": {"aws:ResourceTag/stage": "FALSE"}}, True),
        ({"BinaryEquals": {"aws:ResourceTag/stage": "dGVz"}}, False),
        ({"Bool": {"aws:SecureTransport": True}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2100-01-01T00:00:00Z"}}, True),
        ({"DateGreaterThan": {"aws:EpochTime": "4000000000"}}, False),
        ({"NumericGreaterThanEquals": {"aws:EpochTime": 1}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}, True),
        ({"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}, True),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": "a"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}, "StringEquals": {"dsql:DbUser": "app"}}, False),
    ],
)
def test_conditions_are_those_of_aws(block: dict[str, Any], holds: bool) -> None:
    context = request_context({"Stage": "test"}, "192.0.2.7", time.time())
    context |= {"aws:tagkeys": ("a", "b")}
    assert (
        all(condition.holds(context, allows=True) for condition in parse_conditions(block)) == holds
    )


def test_a_star_that_the_asker_brings_is_no_wildcard() -> None:
    mine = own(Resource="arn:aws:dsql:*:*:cluster/${dsql:DbUser}", version="2012-10-17")
    assert not decided(asked(dsql__dbuser="*"), [mine]).allowed
    assert not decided(asked(dsql__dbuser="?" * 26), [mine]).allowed
    assert not decided(asked(dsql__dbuser="\ufdd0"), [mine]).allowed
    assert decided(asked(dsql__dbuser="a" * 26), [mine]).allowed
    star = own(Condition={"StringLike": {"dsql:DbUser": "${*}"}}, version="2012-10-17")
    assert decided(asked(dsql__dbuser="*"), [star]).allowed
    assert not decided(asked(dsql__dbuser="admin"), [star]).allowed


def test_what_no_variable_says_allows_nothing() -> None:
    new = {"version": "2012-10-17"}
    statement = {"Effect": "Allow", "Action": "dsql:*", "NotResource": "arn:${aws:Nothing}"}
    all_but = parse_identity_policy({"Version": "2012-10-17", "Statement": statement})
    assert not decided(asked(), [all_but]).allowed
    other = {"StringNotEquals": {"dsql:DbUser": "${aws:Nothing}"}}
    assert not decided(asked(dsql__dbuser="x"), [own(Condition=other, **new)]).allowed
    assert not decided(
        asked(dsql__dbuser="x"), [own(), own("Deny", Condition=other, **new)]
    ).allowed
    default = {"StringEquals": {"dsql:DbUser": "${aws:Nothing, 'x'}"}}
    assert decided(asked(dsql__dbuser="x"), [own(Condition=default, **new)]).allowed


def test_a_policy_of_2008_has_no_variables() -> None:
    block = {"StringEquals": {"dsql:DbUser": "${aws:username}"}}
    assert decided(
        asked(dsql__dbuser="alice"), [own(Condition=block, version="2012-10-17")]
    ).allowed
    old = own(Condition=block, version="2008-10-17")
    assert not decided(asked(dsql__dbuser="alice"), [old]).allowed
    assert decided(asked(dsql__dbuser="${aws:username}"), [old]).allowed


def test_of_values_that_differ_in_their_keys_case_all_have_to_allow_and_one_denies() -> None:
    context = request_context({"Stage": "prod", "stage": "dev"}, "", 0)
    request = asked()._replace(context=context)
    dev = {"StringEquals": {"aws:ResourceTag/stage": "dev"}}
    not_dev = {"StringNotEquals": {"aws:ResourceTag/stage": "dev"}}
    assert not decided(request, [own(Condition=dev)]).allowed
    assert not decided(request, [own(), own("Deny", Condition=not_dev)]).allowed
    assert not decided(request, [own(), own("Deny", Condition=dev)]).allowed


def test_an_address_is_the_same_on_a_socket_for_both_kinds() -> None:
    request = asked()._replace(context=request_context({}, "::ffff:10.1.2.3", 0))
    local = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    assert decided(request, [own(Condition=local)]).allowed
    assert not decided(request, [own(), own("Deny", Condition=local)]).allowed


def test_a_session_is_asked_for_its_role_and_has_no_users_name() -> None:
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/Writer/alice"
    role = {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/Writer"}}
    assert decided(asked(session), [own(Condition=role)]).allowed
    named = {"StringEquals": {"aws:username": "alice"}}
    assert not decided(asked(session), [own(Condition=named)]).allowed
    assert decided(asked(), [own(Condition=named)]).allowed
    forged = asked(session, aws__username="alice", aws__principalarn=ALICE)
    assert decided(forged, [own(Condition=role)]).allowed


def test_a_sessions_policy_narrows_all_but_what_names_the_session() -> None:
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/Writer/laptop"
    role = f"arn:aws:iam::{ACCOUNT}:role/Writer"
    other = own(action="dsql:GetCluster")

    def allowed(narrow: Policy, resource: Policy | None = None) -> bool:
        return decide(asked(session), Grants((own(),), narrow), resource).allowed

    assert allowed(own())
    assert not allowed(other)
    assert not allowed(other, clusters("Allow", {"AWS": role}))
    assert allowed(other, clusters("Allow", {"AWS": session}))
    assert not allowed(own("Deny"), clusters("Allow", {"AWS": session}))


ROLE = f"arn:aws:iam::{ACCOUNT}:role/Writer"


@pytest.mark.parametrize(
    ("trusted", "own_policy", "allowed"),
    [
        (ALICE, None, True),
        (ALICE, "Deny", False),
        (ACCOUNT, None, False),
        (ACCOUNT, "Allow", True),
        (f"{ALICE}2", "Allow", False),
        (f"arn:aws:iam::{STRANGER}:root", "Allow", False),
    ],
)
def test_a_role_is_assumed_by_whom_it_trusts(
    trusted: str, own_policy: str | None, allowed: bool
) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}
    trust = parse_policy({"Statement": statement}, TRUST)
    request = AccessRequest(ALICE, "sts:AssumeRole", ROLE)
    grants = Grants(() if own_policy is None else (own(own_policy, "sts:*"),))
    assert decide_trust(request, grants, trust).allowed == allowed
    stranger = request._replace(principal=f"arn:aws:iam::{STRANGER}:user/alice")
    assert not decide_trust(stranger, Grants(), trust).allowed


_STATEMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "Effect": st.sampled_from(["Allow", "Deny"]),
            "Action": st.sampled_from(["*", "dsql:*", "dsql:Db*", "dsql:DBCONNECT", "dsql:Get*"]),
            "Resource": st.sampled_from(["*", CLUSTER, f"{CLUSTER[:-1]}?", "arn:aws:dsql:*b"]),
        },
        optional={
            "Condition": st.sampled_from(
                [
                    {"StringEquals": {"dsql:DbUser": "app"}},
                    {"StringNotEquals": {"dsql:DbUser": "app"}},
                    {"Null": {"dsql:DbUser": "true"}},
                ]
            )
        },
    ),
    min_size=1,
    max_size=4,
)


@given(_STATEMENTS, _STATEMENTS, st.sampled_from(["app", "other"]))
def test_more_denies_never_allow_and_more_allows_never_deny(
    have: list[dict[str, Any]], more: list[dict[str, Any]], user: str
) -> None:
    def allowed(statements: list[dict[str, Any]]) -> bool:
        policy = parse_identity_policy({"Version": "2012-10-17", "Statement": statements})
        return decided(asked(dsql__dbuser=user), [policy]).allowed

    before = allowed(have)
    assert allowed(have[::-1]) == before
    assert allowed(have + [one | {"Effect": "Deny"} for one in more]) <= before
    assert allowed(have + [one | {"Effect": "Allow"} for one in more]) >= before or any(
        one["Effect"] == "Deny" for one in have
    )
    everything = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    assert not allowed([*have, everything])


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_what_they_would_as_regular_expressions(pattern: str, value: str) -> None:
    expression = pattern.replace("*", ".*").replace("?", ".")
    assert matches(marked(pattern), value) == (re.fullmatch(expression, value) is not None)


def test_a_pattern_of_many_stars_takes_no_time_to_fail() -> None:
    started = time.process_time()
    assert not matches(marked("*a" * 60 + "*b"), "a" * 2000)
    assert time.process_time() - started < 1
