"""What comes over the network: forged, replayed, malformed, too much of it, or not permitted."""

import json
import time

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from direct_service import as_received
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.audit import STRANGERS_BURST
from control_plane.messages import HttpRequest
from dsql.control.identities import AccessKey, new_access_key

ACCOUNT = "111122223333"
ABSENT = "a" * 26
URL = "https://localhost:1/cluster"


def signed(
    service,
    method="POST",
    url=URL,
    body=b'{"tags": {}}',
    *,
    auth=SigV4Auth,
    name="dsql",
    region="us-east-1",
    headers=None,
    secret="",
) -> HttpRequest:
    first = service.first
    key = Credentials(first.access_key_id, secret or first.secret_access_key)
    request = AWSRequest(method, url, headers=headers or {}, data=body)
    auth(key, name, region).add_auth(request)
    return as_received(request.prepare())


def refusal(service, request: HttpRequest) -> tuple[int, str]:
    answer = service.answer(request)
    assert len(service.registry) == 0
    return answer.status, answer.headers.get("x-amzn-ErrorType", "")


def test_both_forms_of_a_signature_are_good(service) -> None:
    assert service.answer(signed(service)).status == 200
    assert service.answer(signed(service, "GET", body=b"", auth=SigV4QueryAuth)).status == 200
    headers = {"x-amz-meta": "  two   words "}
    assert service.answer(signed(service, headers=headers)).status == 200


def test_what_was_changed_after_it_was_signed_is_refused(service) -> None:
    good = signed(service, headers={"x-amz-meta": "1"})
    authorization = good.headers["authorization"]
    for changed in (
        good._replace(body=b'{"tags": {"a": "b"}}'),
        good._replace(path="/cluster/"),
        good._replace(query="max-results=1"),
        good._replace(method="GET"),
        *(
            good._replace(headers=good.headers | change)
            for change in (
                {"host": "elsewhere"},
                {"x-amz-meta": "2"},
                {"x-amz-other": "1"},
                {"x-amz-date": "20200101T000000Z"},
                {"x-amz-security-token": "t"},
                {"x-amz-content-sha256": "0" * 64},
                {"authorization": authorization.replace("host;", "")},
                {"authorization": authorization[:-1] + "_"},
                {"authorization": authorization[:-1]},
                {"authorization": "Basic eDp5"},
            )
        ),
    ):
        status, name = refusal(service, changed)
        assert status in (400, 403), changed
        assert name in (
            *("InvalidSignatureException", "IncompleteSignatureException"),
            *("UnrecognizedClientException", "ValidationException"),
        ), changed


def test_a_request_is_good_for_five_minutes(service) -> None:
    request = signed(service, "GET", body=b"")
    for seconds, status in ((-290, 200), (290, 200), (310, 403), (-310, 403)):
        service.now = time.time() + seconds
        assert service.answer(request).status == status
    presigned = signed(service, "GET", body=b"", auth=SigV4QueryAuth)
    service.now = time.time() + 3_590
    assert service.answer(presigned).status == 200
    service.now += 20
    assert refusal(service, presigned) == (403, "InvalidSignatureException")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"region": "eu-west-1"}, "InvalidSignatureException"),
        ({"name": "rds"}, "InvalidSignatureException"),
        ({"secret": "x" * 40}, "InvalidSignatureException"),
    ],
)
def test_a_signature_for_something_else_is_refused(service, changes, name: str) -> None:
    assert refusal(service, signed(service, **changes)) == (403, name)


def test_keys_that_are_unknown_off_or_over_open_nothing(service) -> None:
    request = signed(service)
    for changed, name in (
        ({"active": False}, "UnrecognizedClientException"),
        ({"session_token": "t"}, "UnrecognizedClientException"),
        ({"expires_at": 1.0}, "ExpiredTokenException"),
    ):
        service.keys.add(AccessKey(*astuple(service.first), **changed))
        assert refusal(service, request) == (403, name)
    service.keys.remove(service.first.access_key_id)
    assert refusal(service, request) == (403, "UnrecognizedClientException")
    unsigned = HttpRequest("GET", "/cluster", "", {"host": "x"}, b"", "")
    assert refusal(service, unsigned) == (403, "MissingAuthenticationTokenException")


def astuple(key: AccessKey) -> tuple[str, str, str]:
    return key.access_key_id, key.secret_access_key, key.principal


@given(
    st.sampled_from(["GET", "POST", "DELETE", "PUT", "\0"]),
    st.one_of(st.text(max_size=60), st.sampled_from(["/cluster/..", "/tags/%ff", "/cluster/%00"])),
    st.text(max_size=60),
    st.binary(max_size=60),
    st.text(max_size=200),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_nothing_that_strangers_send_is_our_fault(service, method, path, query, body, text) -> None:
    headers = {"host": "x", "authorization": text, "x-amz-date": text}
    status, _ = refusal(service, HttpRequest(method, path, query, headers, body, "192.0.2.7"))
    assert status in (400, 403)


@pytest.mark.parametrize(
    ("url", "body", "names"),
    [
        ("", {"tags": {"a": "é", "": "x"}}, ["tags/", "tags/a"]),
        ("", {"clientToken": " ", "policy": ""}, ["clientToken", "policy"]),
        ("", {"metricGroups": [{"metricGroup": "X"}, {}]},
         ["metricGroups/0/metricGroup", "metricGroups/1/metricGroup"]),
        ("/Short", {}, ["identifier"]),
        (f"/{ABSENT}/policy", {}, ["policy"]),
    ],
)  # fmt: skip
def test_all_that_is_wrong_with_a_request_is_said_at_once(service, url, body, names) -> None:
    answer = service.answer(signed(service, url=URL + url, body=json.dumps(body).encode()))
    told = json.loads(answer.body)
    assert (answer.status, told["reason"]) == (400, "fieldValidationFailed")
    assert sorted(field["name"] for field in told["fieldList"]) == names


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", "", b"{"),
        ("POST", "", b"[]"),
        ("POST", "", b"[" * 50_000),
        ("POST", "", b'{"tags": []}'),
        ("POST", "", b'{"deletionProtectionEnabled": "true"}'),
        ("POST", "", b'{"clientToken": true}'),
        ("GET", "?max-results=x", b""),
    ],
)
def test_what_cannot_be_read_is_refused(service, method: str, url: str, body: bytes) -> None:
    answer = service.answer(signed(service, method, URL + url, body))
    assert (answer.status, json.loads(answer.body)["reason"]) == (400, "cannotParse")


def test_a_key_may_send_so_many_requests_and_no_more(service) -> None:
    request = signed(service, "GET", body=b"")
    answers = [service.answer(request) for _ in range(501)]
    assert [answer.status for answer in answers[-2:]] == [200, 429]
    assert answers[-1].headers["Retry-After"] == "1"


def test_who_may_not_is_not_told_whether_it_exists(service, dsql, refused) -> None:
    made = dsql.create_cluster(tags={"Stage": "test"})["identifier"]
    allowed = {
        "Effect": "Allow",
        "Action": "dsql:GetCluster",
        "Resource": "*",
        "Condition": {
            "StringEquals": {"aws:ResourceTag/Stage": "test"},
            "IpAddress": {"aws:SourceIp": "192.0.2.0/24"},
        },
    }
    key = service.user("alice", allowed)
    alice = service.client(key)
    assert alice.get_cluster(identifier=made)["status"] == "ACTIVE"
    answer = refused("AccessDeniedException", alice.get_cluster, identifier=ABSENT)
    assert answer["message"].startswith(
        f"User: {key.principal} is not authorized to perform: dsql:GetCluster on resource: "
    )
    elsewhere = service.client(key, "198.51.100.1")
    refused("AccessDeniedException", elsewhere.get_cluster, identifier=made)
    refused("AccessDeniedException", alice.list_clusters)
    service.keys.remove(key.access_key_id)
    refused("UnrecognizedClientException", alice.get_cluster, identifier=made)


def test_each_part_of_a_creation_needs_its_permission(service, refused) -> None:
    creating = {"Effect": "Allow", "Action": "dsql:CreateCluster", "Resource": "*"}
    alice = service.client(service.user("alice", creating))
    alice.create_cluster()
    refused("AccessDeniedException", alice.create_cluster, tags={"a": "b"})
    refused("AccessDeniedException", alice.create_cluster, policy="{}")
    witness = {"witnessRegion": "us-west-2"}
    refused("AccessDeniedException", alice.create_cluster, multiRegionProperties=witness)


def test_a_clusters_policy_lets_in_and_keeps_out(service, dsql, refused) -> None:
    key = new_access_key(f"arn:aws:iam::{ACCOUNT}:user/bob")
    service.keys.add(key)
    bob = service.client(key)
    identifier = dsql.create_cluster()["identifier"]
    refused("AccessDeniedException", bob.get_cluster, identifier=identifier)
    for effect in ("Allow", "Deny"):
        principal = {"AWS": key.principal}
        statement = {"Principal": principal, "Action": "dsql:GetCluster", "Resource": "*"}
        text = json.dumps({"Statement": statement | {"Effect": effect}})
        dsql.put_cluster_policy(identifier=identifier, policy=text)
        if effect == "Allow":
            bob.get_cluster(identifier=identifier)
        else:
            refused("AccessDeniedException", bob.get_cluster, identifier=identifier)


def test_every_decision_is_recorded_and_no_secret(service, dsql, caplog) -> None:
    caplog.set_level("INFO", logger="control_plane.audit")
    dsql.create_cluster(clientToken="secret-token", tags={"a": "b"})
    with pytest.raises(dsql.exceptions.ClientError):
        dsql.get_cluster(identifier=ABSENT)
    made, missed = caplog.records
    assert (made.eventName, made.readOnly, made.awsRegion) == ("CreateCluster", False, "us-east-1")
    assert made.userIdentity["arn"] == service.first.principal
    assert made.requestParameters["tags"] == {"a": "b"}
    assert made.responseElements["status"] == "CREATING"
    assert (missed.errorCode, missed.readOnly) == ("ResourceNotFoundException", True)
    text = repr([vars(record) for record in caplog.records])
    authorization = service.sent[0].headers["authorization"]
    for secret in ("secret-token", service.first.secret_access_key, authorization[-64:]):
        assert secret not in text


def test_strangers_cannot_fill_the_log(service, caplog) -> None:
    caplog.set_level("INFO", logger="control_plane.audit")
    unsigned = HttpRequest("GET", "/cluster", "", {"host": "x"}, b"", "192.0.2.7")
    for _ in range(STRANGERS_BURST + 50):
        service.answer(unsigned)
    assert len(caplog.records) == STRANGERS_BURST
    service.answer(unsigned._replace(address="192.0.2.8"))
    assert caplog.records[-1].suppressed == 50
