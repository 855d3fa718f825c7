import json
import re

import pytest

from control_plane.dispatch import CLUSTERS
from control_plane.service_model import operations
from dsql.control.resources import DELETING

ABSENT = "a" * 26
ACCOUNT = "111122223333"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"


def policy(**changes: object) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": statement | changes})


def test_every_operation_of_the_model_is_carried_out() -> None:
    assert {operation.name for operation in operations()} <= CLUSTERS.handlers.keys()


def test_a_cluster_is_made_as_creating_and_described_as_the_model_has_it(service, dsql) -> None:
    service.settles = False
    made = dsql.create_cluster(tags={"Name": "orders"})
    assert (made["status"], made["deletionProtectionEnabled"]) == ("CREATING", True)
    identifier = made["identifier"]
    assert re.fullmatch("[a-z2-7]{26}", identifier)
    assert made["arn"] == f"arn:aws:dsql:us-east-1:{ACCOUNT}:cluster/{identifier}"
    assert made["endpoint"] == f"{identifier}.dsql.us-east-1.on.aws"
    assert service.changed == [identifier]
    service.settle(identifier)
    found = dsql.get_cluster(identifier=identifier)
    assert (found["status"], found["tags"]) == ("ACTIVE", {"Name": "orders"})
    assert found["creationTime"] == made["creationTime"]
    assert found["encryptionDetails"]["encryptionType"] == "AWS_OWNED_KMS_KEY"


def test_what_was_answered_is_on_disk(service, dsql) -> None:
    identifier = dsql.create_cluster(deletionProtectionEnabled=False)["identifier"]
    dsql.delete_cluster(identifier=identifier)
    service.restart()
    assert dsql.get_cluster(identifier=identifier)["status"] == "DELETING"


def test_a_client_token_does_once_and_answers_the_same(service, dsql, refused) -> None:
    made = dsql.create_cluster(clientToken="t", tags={"a": "b"})
    service.restart()
    again = dsql.create_cluster(clientToken="t", tags={"a": "b"})
    assert again["identifier"] == made["identifier"]
    assert len(service.registry) == 1
    refused("ConflictException", dsql.create_cluster, clientToken="t")
    identifier = made["identifier"]
    first = dsql.put_cluster_policy(identifier=identifier, policy=policy(), clientToken="p")
    assert dsql.put_cluster_policy(
        identifier=identifier, policy=policy(), clientToken="p"
    )["policyVersion"] == first["policyVersion"]  # fmt: skip
    refused(
        "ConflictException", dsql.put_cluster_policy,
        identifier=identifier, policy=policy(Sid="x"), clientToken="p",
    )  # fmt: skip


def test_a_token_is_kept_while_others_come(service, dsql) -> None:
    identifier = dsql.create_cluster(clientToken="first")["identifier"]
    for number in range(100):
        dsql.update_cluster(identifier=identifier, clientToken=f"t{number}")
    assert dsql.create_cluster(clientToken="first")["identifier"] == identifier
    assert len(service.registry.get(identifier).tokens) <= 32


def test_what_is_protected_is_not_deleted(service, dsql, refused) -> None:
    identifier = dsql.create_cluster()["identifier"]
    answer = refused("ValidationException", dsql.delete_cluster, identifier=identifier)
    assert answer["reason"] == "deletionProtectionEnabled"
    dsql.update_cluster(identifier=identifier, deletionProtectionEnabled=False)
    assert dsql.delete_cluster(identifier=identifier)["status"] == "DELETING"
    assert dsql.delete_cluster(identifier=identifier)["status"] == "DELETING"
    answer = refused("ConflictException", dsql.update_cluster, identifier=identifier)
    assert answer["resourceId"] == identifier
    service.registry.forget(identifier)
    answer = refused("ResourceNotFoundException", dsql.get_cluster, identifier=identifier)
    assert (answer["resourceId"], answer["resourceType"]) == (identifier, "AWS::DSQL::Cluster")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_what_is_being_created_is_not_deleted(service, dsql, refused) -> None:
    service.settles = False
    identifier = dsql.create_cluster(deletionProtectionEnabled=False)["identifier"]
    refused("ConflictException", dsql.delete_cluster, identifier=identifier)


def test_lists_come_in_pages_that_survive_a_deletion(service, dsql, refused) -> None:
    made = [dsql.create_cluster()["identifier"] for _ in range(5)]
    page = dsql.list_clusters(maxResults=2)
    assert [cluster["identifier"] for cluster in page["clusters"]] == made[:2]
    service.registry.forget(made[1])
    pages = dsql.get_paginator("list_clusters").paginate(
        PaginationConfig={"PageSize": 2, "StartingToken": page["nextToken"]}
    )
    assert [c["identifier"] for c in pages.build_full_result()["clusters"]] == made[2:]
    for token in ("x", "W10=", "bnVsbA=="):
        refused("ValidationException", dsql.list_clusters, nextToken=token)


def test_there_are_no_more_clusters_than_the_quota(dsql, refused) -> None:
    for _ in range(5):
        dsql.create_cluster()
    answer = refused("ServiceQuotaExceededException", dsql.create_cluster)
    assert answer["Error"]["Message"] == "You have reached the cluster limit."
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 402


def test_tags_are_added_replaced_and_removed(dsql, refused) -> None:
    made = dsql.create_cluster(tags={"a": "1", "b": "2"})
    arn = made["arn"]
    dsql.tag_resource(resourceArn=arn, tags={"b": "3", "c d": ""})
    dsql.untag_resource(resourceArn=arn, tagKeys=["a", "zzz"])
    expected = {"b": "3", "c d": ""}
    assert dsql.list_tags_for_resource(resourceArn=arn)["tags"] == expected
    assert dsql.get_cluster(identifier=made["identifier"])["tags"] == expected
    refused("ValidationException", dsql.tag_resource, resourceArn=arn, tags={"AWS:x": "1"})
    many = {str(number): "" for number in range(49)}
    refused("ServiceQuotaExceededException", dsql.tag_resource, resourceArn=arn, tags=many)
    for other in (f"{arn[:-1]}_", arn.replace(ACCOUNT, "999999999999")):
        refused("ResourceNotFoundException", dsql.list_tags_for_resource, resourceArn=other)


def test_a_policy_has_versions(dsql, refused) -> None:
    identifier = dsql.create_cluster()["identifier"]
    refused("ResourceNotFoundException", dsql.get_cluster_policy, identifier=identifier)
    assert dsql.put_cluster_policy(identifier=identifier, policy=policy())["policyVersion"] == "1"
    found = dsql.get_cluster_policy(identifier=identifier)
    assert (found["policy"], found["policyVersion"]) == (policy(), "1")
    given = {"identifier": identifier, "policy": policy(Sid="x")}
    refused("ConflictException", dsql.put_cluster_policy, expectedPolicyVersion="2", **given)
    assert dsql.put_cluster_policy(expectedPolicyVersion="1", **given)["policyVersion"] == "2"
    refused(
        "ConflictException", dsql.delete_cluster_policy,
        identifier=identifier, expectedPolicyVersion="1",
    )  # fmt: skip
    assert dsql.delete_cluster_policy(identifier=identifier)["policyVersion"] == "2"
    assert dsql.put_cluster_policy(identifier=identifier, policy=policy())["policyVersion"] == "3"


def test_a_policy_locks_its_author_out_only_if_that_is_wanted(dsql, refused) -> None:
    identifier = dsql.create_cluster()["identifier"]
    shut = {"identifier": identifier, "policy": policy(Effect="Deny", Principal="*")}
    refused("ValidationException", dsql.put_cluster_policy, **shut)
    dsql.put_cluster_policy(bypassPolicyLockoutSafetyCheck=True, **shut)
    refused("AccessDeniedException", dsql.put_cluster_policy, **shut)


@pytest.mark.parametrize("text", ["{}", "x", policy(Principal="*"), policy(Effect="Maybe")])
def test_what_no_cluster_may_have_as_a_policy_is_refused(dsql, text: str) -> None:
    with pytest.raises(dsql.exceptions.ClientError):
        dsql.create_cluster(policy=text)
    assert dsql.list_clusters()["clusters"] == []


def test_a_witness_makes_a_cluster_wait_for_its_peers(dsql, refused) -> None:
    made = dsql.create_cluster(multiRegionProperties={"witnessRegion": "us-west-2"})
    assert made["multiRegionProperties"] == {
        "witnessRegion": "us-west-2",
        "clusters": [made["arn"]],
    }
    other = made["arn"].replace("us-east-1", "us-east-2")
    for properties in (
        {},
        {"witnessRegion": "us-east-1"},
        {"witnessRegion": "eu-west-1"},
        {"witnessRegion": "us-west-2", "clusters": [made["arn"]]},
        {"witnessRegion": "us-west-2", "clusters": [other]},
    ):
        refused("ValidationException", dsql.create_cluster, multiRegionProperties=properties)


def test_a_key_that_would_encrypt_nothing_is_refused(dsql, refused) -> None:
    refused("ValidationException", dsql.create_cluster, kmsEncryptionKey="alias/mine")
    dsql.create_cluster(kmsEncryptionKey="AWS_OWNED_KMS_KEY")


def test_the_endpoint_service_is_the_same_for_all_clusters(dsql) -> None:
    first, second = (dsql.create_cluster()["identifier"] for _ in range(2))
    name = dsql.get_vpc_endpoint_service_name(identifier=first)
    assert re.fullmatch(r"com\.amazonaws\.us-east-1\.dsql-[0-9a-f]{6}", name["serviceName"])
    other = dsql.get_vpc_endpoint_service_name(identifier=second)
    assert other["serviceName"] == name["serviceName"]
    assert other["clusterVpcEndpoint"].startswith(second)


def test_streams_are_not_there_and_say_so(dsql, refused) -> None:
    identifier = dsql.create_cluster()["identifier"]
    answer = refused("ValidationException", dsql.list_streams, clusterIdentifier=identifier)
    assert "not supported" in answer["message"]
    refused("ResourceNotFoundException", dsql.list_streams, clusterIdentifier=ABSENT)


def test_a_cluster_of_dsql_up_is_known(service, dsql) -> None:
    from dsql.control.authority import Authority
    from dsql.control.clusters import create_cluster

    record = create_cluster(service.layout, Authority.open(service.layout))
    service.layout.resource(record.identifier).unlink()
    service.restart()
    assert dsql.get_cluster(identifier=record.identifier)["status"] == "ACTIVE"
    assert service.registry.get(record.identifier).status != DELETING
