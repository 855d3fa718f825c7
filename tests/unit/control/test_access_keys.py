import re
import time
from pathlib import Path

import pytest

from dsql.control.access_keys import (
    AccessKey,
    AccessKeyStore,
    AttachedPolicy,
    ensure_first_key,
    new_access_key,
    new_session_key,
)
from dsql.iam.document import MalformedPolicyError
from dsql.iam.request import AccessRequest

ACCOUNT = "111122223333"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
CLUSTER = f"arn:aws:dsql:us-east-1:{ACCOUNT}:cluster/{'a' * 26}"


@pytest.fixture
def store(tmp_path: Path) -> AccessKeyStore:
    return AccessKeyStore(tmp_path / "iam.json")


def allows(store: AccessKeyStore, principal: str, action: str, resource: str = CLUSTER) -> bool:
    return store.decide(AccessRequest(principal, action, resource)).allowed


def policy(effect: str, action: str, principal: str = ALICE, name: str = "p") -> AttachedPolicy:
    statement = {"Effect": effect, "Action": action, "Resource": "*"}
    return AttachedPolicy(principal, name, {"Statement": statement})


def test_first_key_has_the_shapes_of_aws_and_may_connect_everywhere(store: AccessKeyStore) -> None:
    key = ensure_first_key(store, ACCOUNT)
    assert re.fullmatch("AKIA[A-Z2-7]{16}", key.access_key_id)
    assert re.fullmatch("[A-Za-z0-9+/]{40}", key.secret_access_key)
    assert allows(store, key.principal, "dsql:DbConnectAdmin")
    assert ensure_first_key(store, ACCOUNT) == key


def test_store_is_readable_by_the_owner_only(store: AccessKeyStore, tmp_path: Path) -> None:
    ensure_first_key(store, ACCOUNT)
    assert (tmp_path / "iam.json").stat().st_mode & 0o777 == 0o600


def test_change_by_another_process_is_seen(store: AccessKeyStore, tmp_path: Path) -> None:
    key = ensure_first_key(store, ACCOUNT)
    other = AccessKeyStore(tmp_path / "iam.json")
    assert other.find(key.access_key_id) == key
    assert store.remove(key.access_key_id)
    assert other.find(key.access_key_id) is None
    assert not store.remove(key.access_key_id)


def test_policies_are_replaced_by_name_and_go_with_the_last_key(store: AccessKeyStore) -> None:
    first, second = new_access_key(ALICE), new_access_key(ALICE)
    store.add(first, [policy("Allow", "dsql:DbConnect")])
    assert allows(store, ALICE, "dsql:DbConnect")
    store.add(second, [policy("Allow", "dsql:GetCluster")])
    assert not allows(store, ALICE, "dsql:DbConnect")
    store.remove(first.access_key_id)
    assert allows(store, ALICE, "dsql:GetCluster")
    store.remove(second.access_key_id)
    assert not allows(store, ALICE, "dsql:GetCluster")


def test_a_session_of_a_role_has_the_roles_policies(store: AccessKeyStore) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/Writer"
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/Writer/laptop"
    store.add(new_access_key(session), [policy("Allow", "dsql:*", role)])
    assert allows(store, session, "dsql:DbConnect")


def test_a_policy_that_somebody_has_spoilt_allows_nothing(
    store: AccessKeyStore, tmp_path: Path
) -> None:
    store.add(new_access_key(ALICE), [policy("Allow", "dsql:*")])
    path = tmp_path / "iam.json"
    path.write_text(path.read_text().replace('"Allow"', '"Permit"'))
    assert not allows(store, ALICE, "dsql:DbConnect")
    with pytest.raises(MalformedPolicyError):
        store.add(new_access_key(ALICE), [policy("Permit", "dsql:*")])


def test_inactive_and_ended_keys_are_not_usable() -> None:
    assert AccessKey("A", "s", ALICE).usable(now=5.0)
    assert not AccessKey("A", "s", ALICE, active=False).usable(now=5.0)
    assert not AccessKey("A", "s", ALICE, session_token="t", expires_at=5.0).usable(now=5.0)


def test_sessions_that_are_long_over_are_forgotten(store: AccessKeyStore) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/Writer"
    now = time.time()
    old, late = (new_session_key(role, "s", now - age) for age in (90_000, 10))
    store.add(old)
    store.add(late)
    assert store.keys() == [late]
