import json

import pytest

from dsql.iam.document import MalformedPolicyError, parse_identity_policy, parse_resource_policy
from dsql.iam.evaluation import is_public

ACCOUNT = "111122223333"


def statement(**fields: object) -> dict[str, object]:
    return {"Effect": "Allow", "Action": "dsql:*", "Resource": "*"} | fields


def narrowed(operator: str, value: str) -> dict[str, object]:
    return {
        "Principal": "*",
        "Condition": {operator: {"aws:PrincipalArn": value}},
        "Version": "2012-10-17",
    }


def test_one_word_and_a_list_of_one_are_the_same() -> None:
    lists = statement(Action=["dsql:*"], Resource=["*"])
    assert parse_identity_policy({"Statement": statement()}) == parse_identity_policy(
        {"Version": "2012-10-17", "Id": "x", "Statement": [lists | {"Sid": "y"}]}
    )


def test_an_accounts_number_stands_for_the_account() -> None:
    number, arn = (
        parse_resource_policy(json.dumps({"Statement": statement(Principal={"AWS": word})}))
        for word in (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")
    )
    assert number == arn


@pytest.mark.parametrize(
    "changes",
    [
        {"Effect": "allow"},
        {"NotAction": "dsql:GetCluster"},
        {"Action": 5},
        {"Resource": [["*"]]},
        {"Conditions": {}},
        {"Condition": {"StringEqual": {"aws:SourceIp": "1"}}},
        {"Condition": {"StringEquals": "x"}},
        {"Condition": {"StringEquals": {"aws:SourceIp": {}}}},
        {"Condition": {"IpAddress": {"aws:SourceIp": "nonsense"}}},
        {"Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/33"}}},
        {"Condition": {"NumericLessThan": {"aws:EpochTime": "soon"}}},
        {"Condition": {"DateLessThan": {"aws:CurrentTime": "soon"}}},
        {"Condition": {"NullIfExists": {"aws:SourceIp": "true"}}},
        {"Action": "dsql:DbConnect\ufdd0"},
        {"Action": "d*:DbConnect"},
        {"Action": "DbConnect"},
        {"Action": "dsql:DbConnecﬅ"},
        {"Resource": "cluster"},
        {"Resource": "arn:\ufdd1"},
        {"Principal": {"AWS": "alice"}},
        {"Principal": {"AWS": "arn:aws:iam::*:user/alice"}},
        {"Principal": {"User": "alice"}},
        {"Principal": "*", "NotPrincipal": "*"},
    ],
)
def test_what_is_no_statement_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(MalformedPolicyError):
        parse_resource_policy(json.dumps({"Statement": statement(Principal="*") | changes}))


def test_only_a_resources_policy_says_whom_it_speaks_of() -> None:
    with pytest.raises(MalformedPolicyError, match="must have a Principal"):
        parse_resource_policy(json.dumps({"Statement": statement()}))
    with pytest.raises(MalformedPolicyError, match="cannot have a Principal"):
        parse_identity_policy({"Statement": statement(Principal="*")})


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"Statement": []}', '{"Statement": [], "Statement": []}', "[" * 9000]
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(MalformedPolicyError):
        parse_resource_policy(text)


def test_what_takes_long_to_compare_with_is_no_clusters_policy() -> None:
    many = statement(Principal="*", Resource=["arn:*?a"] * 500)
    with pytest.raises(MalformedPolicyError, match="500"):
        parse_resource_policy(json.dumps({"Statement": many}))


@pytest.mark.parametrize(
    ("fields", "public"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": ["*"]}}, True),
        ({"NotPrincipal": {"AWS": ACCOUNT}}, True),
        ({"Principal": {"AWS": ACCOUNT}}, False),
        ({"Principal": "*", "Effect": "Deny"}, False),
        ({"Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, False),
        ({"Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": True}}}, True),
        ({"Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}}, True),
        ({"Principal": "*", "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.1"}}}, True),
        ({"Principal": "*", "Condition": {"Null": {"aws:SourceIp": "false"}}}, True),
        (narrowed("StringEquals", ACCOUNT), False),
        (narrowed("StringEqualsIfExists", ACCOUNT), True),
        (narrowed("ForAllValues:StringEquals", ACCOUNT), True),
        (narrowed("StringNotEquals", ACCOUNT), True),
        (narrowed("StringLike", "*"), True),
        (narrowed("StringLike", f"arn:aws:iam::{ACCOUNT}:role/*"), False),
        (narrowed("StringLike", "arn:aws:iam::1*:role/*"), True),
        (narrowed("StringEquals", "${aws:PrincipalArn}"), True),
    ],
)
def test_everybodys_is_what_nothing_narrows(fields: dict[str, object], public: bool) -> None:
    version = {"Version": fields.pop("Version", "2008-10-17")}
    policy = parse_resource_policy(json.dumps(version | {"Statement": statement(**fields)}))
    assert is_public(policy) == public
