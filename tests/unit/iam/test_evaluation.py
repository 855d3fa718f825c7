import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.iam.condition import parse_conditions
from dsql.iam.document import Policy, parse_identity_policy, parse_resource_policy
from dsql.iam.evaluation import decide
from dsql.iam.request import AccessRequest, matches, request_context

ACCOUNT, STRANGER = "111122223333", "999999999999"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
CLUSTER = f"arn:aws:dsql:us-east-1:{ACCOUNT}:cluster/{'a' * 26}"
ACTION = "dsql:DbConnect"


def own(effect: str = "Allow", action: str = "dsql:*", **fields: Any) -> Policy:
    statement = {"Effect": effect, "Action": action, "Resource": "*"} | fields
    return parse_identity_policy({"Statement": statement})


def clusters(effect: str, principal: Any, action: str = "dsql:*") -> Policy:
    statement = {"Effect": effect, "Principal": principal, "Action": action, "Resource": "*"}
    return parse_resource_policy(json.dumps({"Statement": statement}))


def asked(principal: str = ALICE, **context: str) -> AccessRequest:
    values = {key.replace("__", ":").replace("_", "-"): (v,) for key, v in context.items()}
    return AccessRequest(principal, ACTION, CLUSTER, values)


def test_nothing_is_allowed_unless_a_statement_says_so() -> None:
    decision = decide(asked(), [], None)
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
    decision = decide(asked(), identity, resource)
    assert decision == (False, f"with an explicit deny in {words} policy")


def test_within_an_account_either_side_may_allow() -> None:
    assert decide(asked(), [own()], None).allowed
    assert decide(asked(), [own()], clusters("Allow", {"AWS": f"{ALICE}2"})).allowed
    assert decide(asked(), [], clusters("Allow", {"AWS": ALICE})).allowed
    assert decide(asked(), [], clusters("Allow", "*")).allowed


def test_what_a_cluster_allows_to_the_account_is_the_accounts_to_decide() -> None:
    delegated = clusters("Allow", {"AWS": ACCOUNT})
    assert not decide(asked(), [], delegated).allowed
    assert decide(asked(), [own()], delegated).allowed
    assert not decide(asked(), [own()], clusters("Deny", {"AWS": ACCOUNT})).allowed


def test_a_stranger_needs_both_sides() -> None:
    stranger = asked(f"arn:aws:iam::{STRANGER}:user/eve")
    to_them = clusters("Allow", {"AWS": stranger.principal})
    assert not decide(stranger, [own()], None).allowed
    assert not decide(stranger, [], to_them).allowed
    assert decide(stranger, [own()], to_them).allowed


def test_a_session_is_its_role() -> None:
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/Writer/laptop"
    role = f"arn:aws:iam::{ACCOUNT}:role/Writer"
    assert decide(asked(session), [], clusters("Allow", {"AWS": role})).allowed


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
    assert decide(asked(), [own(**fields)], None).allowed == allowed


def test_what_is_excluded_is_all_that_a_statement_does_not_cover() -> None:
    all_but = {"Effect": "Allow", "NotAction": "dsql:DbConnect", "Resource": "*"}
    policy = parse_identity_policy({"Statement": all_but})
    assert not decide(asked(), [policy], None).allowed
    assert decide(asked()._replace(action="dsql:GetCluster"), [policy], None).allowed


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
        ({"IpAddress": {"aws:SourceIp": "nonsense"}}, False),
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
    assert all(condition.holds(context) for condition in parse_conditions(block)) == holds


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_patterns_match_what_they_would_as_regular_expressions(pattern: str, value: str) -> None:
    expression = pattern.replace("*", ".*").replace("?", ".")
    assert matches(pattern, value) == (re.fullmatch(expression, value) is not None)


def test_a_pattern_of_many_stars_takes_no_time_to_fail() -> None:
    started = time.process_time()
    assert not matches("*a" * 60 + "*b", "a" * 2000)
    assert time.process_time() - started < 1
