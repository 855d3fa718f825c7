"""STS as boto3 speaks it: who may be which role, for how long, and what is left of that."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from direct_service import ACCOUNT, REGION, Service, as_received

from dsql.control.identities import AccessKey, AttachedPolicy

ROLE = f"arn:aws:iam::{ACCOUNT}:role/Reader"


@pytest.fixture
def alice(service: Service) -> AccessKey:
    return service.user("alice")


@pytest.fixture
def sts(service: Service, alice: AccessKey) -> Any:
    return service.client(alice, service="sts")


def make_role(service: Service, trusted: str, name: str = "Reader", **condition: Any) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": trusted}, "Action": "sts:AssumeRole"}
    if condition:
        trust["Condition"] = {"StringEquals": condition["equals"]}
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    reads = {"Effect": "Allow", "Action": ["dsql:List*", "sts:AssumeRole"], "Resource": "*"}
    with service.keys.changing() as identities:
        document = {"Version": "2012-10-17", "Statement": trust}
        identities.create_role(ACCOUNT, name, document, time.time())
        identities.put_policy(AttachedPolicy(arn, "reads", {"Statement": reads}))


def assumed(sts: Any, role: str = ROLE, name: str = "laptop", **given: Any) -> AccessKey:
    answer = sts.assume_role(RoleArn=role, RoleSessionName=name, **given)
    found = answer["Credentials"]
    principal = answer["AssumedRoleUser"]["Arn"]
    return AccessKey(
        found["AccessKeyId"],
        found["SecretAccessKey"],
        principal,
        session_token=found["SessionToken"],
        expires_at=found["Expiration"].timestamp(),
    )


def test_a_caller_is_told_who_it_is(service: Service, sts: Any, alice: AccessKey) -> None:
    answer = sts.get_caller_identity()
    assert (answer["Account"], answer["Arn"]) == (ACCOUNT, alice.principal)
    assert answer["UserId"].startswith("AIDA")
    denied = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    with service.keys.changing() as identities:
        identities.put_policy(AttachedPolicy(alice.principal, "no", {"Statement": denied}))
    assert sts.get_caller_identity()["Arn"] == alice.principal


def test_a_session_may_what_its_role_may_until_it_ends(
    service: Service, sts: Any, alice: AccessKey, refused: Any
) -> None:
    make_role(service, alice.principal)
    session = assumed(sts, DurationSeconds=900)
    assert 890 < session.expires_at - time.time() <= 900
    dsql = service.client(session)
    assert dsql.list_clusters()["clusters"] == []
    answer = refused("AccessDeniedException", dsql.create_cluster)
    assert f"User: arn:aws:sts::{ACCOUNT}:assumed-role/Reader/laptop is not" in answer["message"]
    who = service.client(session, service="sts").get_caller_identity()
    assert who["UserId"].startswith("AROA")
    assert who["UserId"].endswith(":laptop")


def test_what_a_session_is_narrowed_to_is_all_it_may(
    service: Service, sts: Any, alice: AccessKey, refused: Any
) -> None:
    make_role(service, alice.principal)
    narrow = {"Statement": {"Effect": "Allow", "Action": "dsql:CreateCluster", "Resource": "*"}}
    dsql = service.client(assumed(sts, Policy=json.dumps(narrow)))
    refused("AccessDeniedException", dsql.list_clusters)
    refused("AccessDeniedException", dsql.create_cluster)
    refused("MalformedPolicyDocument", sts.assume_role, **ask(Policy="{}"))
    refused("PackedPolicyTooLarge", sts.assume_role, **ask(Policy=json.dumps(narrow) + " " * 2048))


def ask(**given: Any) -> dict[str, Any]:
    return {"RoleArn": ROLE, "RoleSessionName": "laptop"} | given


def test_a_role_is_for_those_whom_it_trusts(
    service: Service, sts: Any, alice: AccessKey, refused: Any
) -> None:
    missing = refused("AccessDenied", sts.assume_role, **ask())["Error"]["Message"]
    make_role(service, service.first.principal)
    assert refused("AccessDenied", sts.assume_role, **ask())["Error"]["Message"] == missing
    first = service.client(service.first, service="sts")
    assumed(first)
    make_role(service, ACCOUNT, "Shared")
    shared = ROLE.replace("Reader", "Shared")
    refused("AccessDenied", sts.assume_role, **ask(RoleArn=shared))
    assumed(first, shared)  # whose own policy has sts:*


def test_a_role_may_want_to_be_told_a_word(
    service: Service, sts: Any, alice: AccessKey, refused: Any
) -> None:
    make_role(service, alice.principal, equals={"sts:ExternalId": "sesame"})
    refused("AccessDenied", sts.assume_role, **ask())
    refused("AccessDenied", sts.assume_role, **ask(ExternalId="Sesame"))
    assumed(sts, ExternalId="sesame")


def test_a_session_lasts_as_long_as_its_role_says(
    service: Service, sts: Any, alice: AccessKey, refused: Any
) -> None:
    make_role(service, alice.principal)
    refused("ValidationError", sts.assume_role, **ask(DurationSeconds=43_201))
    answer = refused("ValidationError", sts.assume_role, **ask(DurationSeconds=3_601))
    assert "MaxSessionDuration" in answer["Error"]["Message"]


def test_a_role_of_a_role_is_not_for_long(
    service: Service, sts: Any, alice: AccessKey, refused: Any
) -> None:
    make_role(service, alice.principal)
    make_role(service, ROLE, "Second")
    with service.keys.changing() as identities:
        for role in identities.roles:
            role.session_seconds_max = 43_200
    session = service.client(assumed(sts, DurationSeconds=43_200), service="sts")
    second = ROLE.replace("Reader", "Second")
    answer = refused(
        "ValidationError", session.assume_role, **ask(RoleArn=second, DurationSeconds=3_601)
    )
    assert "role chaining" in answer["Error"]["Message"]
    assumed(session, second)


def test_names_are_those_that_cannot_be_mistaken(
    service: Service, sts: Any, alice: AccessKey, refused: Any
) -> None:
    make_role(service, alice.principal)
    for name in ("\uff41dmin", "a/b", "a:b", "**", "a b", "a\n"):
        refused("ValidationError", sts.assume_role, **ask(RoleSessionName=name))


def test_sessions_end_with_what_they_came_from(
    service: Service, sts: Any, alice: AccessKey, refused: Any
) -> None:
    make_role(service, alice.principal)
    session = assumed(sts)
    dsql = service.client(session)
    dsql.list_clusters()
    with service.keys.changing() as identities:
        identities.delete_owner(ROLE)
    refused("UnrecognizedClientException", dsql.list_clusters)
    make_role(service, alice.principal)  # of the same name, and another one
    refused("UnrecognizedClientException", dsql.list_clusters)


def test_ended_credentials_are_told_so(service: Service, alice: AccessKey) -> None:
    make_role(service, alice.principal)
    role = service.keys.role(ROLE)
    assert role is not None
    session = service.keys.begin_session(role, "laptop", time.time() - 1_000, 900, "")
    answer = service.answer(signed(session))
    assert answer.status == 403
    assert b"<Code>ExpiredToken</Code>" in answer.body


def signed(key: AccessKey, service: str = "sts", **fields: str) -> Any:
    """Return a signed GetCallerIdentity, or what else the fields say."""
    body = urlencode({"Action": "GetCallerIdentity", "Version": "2011-06-15"} | fields)
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    request = AWSRequest("POST", "https://localhost:1/", data=body, headers=headers)
    credentials = Credentials(key.access_key_id, key.secret_access_key, key.session_token or None)
    SigV4Auth(credentials, service, REGION).add_auth(request)
    return as_received(request.prepare())


def test_what_is_signed_for_another_service_or_changed_is_refused(
    service: Service, alice: AccessKey
) -> None:
    good = signed(alice)
    assert service.answer(good).status == 200
    for bad, code in (
        (signed(alice, "dsql"), b"SignatureDoesNotMatch"),
        (good._replace(body=good.body + b"&x=y"), b"SignatureDoesNotMatch"),
        (good._replace(headers={**good.headers, "authorization": "x"}), b"IncompleteSignature"),
        (signed(AccessKey("AKIAX", "s", "")), b"InvalidClientTokenId"),
        (signed(alice, Action="Nothing"), b"InvalidAction"),
        (signed(alice, Action="AssumeRole"), b"ValidationError"),
    ):
        answer = service.answer(bad)
        assert b"<Code>%s</Code>" % code in answer.body
        assert answer.status in (400, 403)


def test_markup_that_a_caller_sends_stays_a_text(service: Service, alice: AccessKey) -> None:
    answer = service.answer(signed(alice, Action="<script>\x01&"))
    assert b"<script>" not in answer.body
    assert b"&lt;script&gt;?&amp;" in answer.body


def test_sessions_are_recorded_without_their_secrets(
    service: Service, sts: Any, alice: AccessKey, caplog: Any
) -> None:
    make_role(service, alice.principal)
    caplog.set_level("INFO", logger="control_plane.audit")
    session = assumed(sts)
    service.client(session).list_clusters()
    begun, listed = caplog.records
    assert (begun.eventSource, begun.eventName) == ("sts.amazonaws.com", "AssumeRole")
    assert begun.responseElements["Credentials"]["AccessKeyId"] == session.access_key_id
    assert listed.userIdentity["sessionContext"]["sessionIssuer"]["arn"] == ROLE
    text = repr([vars(record) for record in caplog.records])
    assert session.secret_access_key not in text
    assert session.session_token not in text
