import json
import re
from pathlib import Path

import msgspec
import pytest

from dsql.control.access_keys import AccessKeyStore, ensure_first_key
from dsql.control.identities import (
    AccessKey,
    AttachedPolicy,
    IdentityError,
    ManagedPolicy,
    Role,
    new_access_key,
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
    key = AccessKey("", "", principal)
    return store.decide(key, AccessRequest(principal, action, resource)).allowed


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


def test_policies_are_replaced_by_name_and_go_with_their_user(store: AccessKeyStore) -> None:
    first, second = new_access_key(ALICE), new_access_key(ALICE)
    store.add(first, [policy("Allow", "dsql:DbConnect")])
    assert allows(store, ALICE, "dsql:DbConnect")
    store.add(second, [policy("Allow", "dsql:GetCluster")])
    assert not allows(store, ALICE, "dsql:DbConnect")
    store.remove(first.access_key_id)
    assert allows(store, ALICE, "dsql:GetCluster")
    with store.changing() as identities:
        identities.delete_owner(ALICE)
    assert not allows(store, ALICE, "dsql:GetCluster")
    assert store.find(second.access_key_id) is None


def test_a_session_of_a_role_has_the_roles_policies(store: AccessKeyStore) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/Writer"
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/Writer/laptop"
    store.add(new_access_key(ALICE), [policy("Allow", "dsql:*", role)])
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


def begun(store: AccessKeyStore, now: float = 1000.0) -> AccessKey:
    """A session of Writer, which may connect, that lasts 900 s."""
    arn = f"arn:aws:iam::{ACCOUNT}:role/Writer"
    role = store.role(arn)
    if role is None:
        with store.changing() as identities:
            role = identities.create_role(ACCOUNT, "Writer", None, now)
            identities.put_policy(policy("Allow", "dsql:DbConnect", arn))
    return store.begin_session(role, "laptop", now, 900, "")


def test_a_session_is_known_by_its_token_wherever_the_file_is(
    store: AccessKeyStore, tmp_path: Path
) -> None:
    key = begun(store)
    assert key.principal == f"arn:aws:sts::{ACCOUNT}:assumed-role/Writer/laptop"
    assert key.secret_access_key not in (tmp_path / "iam.json").read_text()
    other = AccessKeyStore(tmp_path / "iam.json")
    assert other.find(key.access_key_id, key.session_token) == key
    assert allows(other, key.principal, "dsql:DbConnect")
    assert key.usable(1899.0)
    assert not key.usable(1900.0)


def test_a_token_is_good_for_its_own_key_and_unchanged_only(store: AccessKeyStore) -> None:
    key, other = begun(store), begun(store)
    token = key.session_token
    assert store.find(key.access_key_id) is None
    assert store.find(other.access_key_id, token) is None
    assert store.find(ensure_first_key(store, ACCOUNT).access_key_id, token) is None
    for place in {*range(0, len(token), 7), *range(len(token) - 4, len(token))}:
        spoilt = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        assert store.find(key.access_key_id, spoilt) is None
    for made_up in ("", "dsql1.", "dsql1." + "A" * 9000, "x", "dsql1.ä"):
        assert store.find(key.access_key_id, made_up) is None


def test_sessions_end_with_their_role_and_when_it_ends_them(store: AccessKeyStore) -> None:
    key = begun(store)
    arn = f"arn:aws:iam::{ACCOUNT}:role/Writer"
    with store.changing() as identities:
        role = identities.owner(arn)
        assert isinstance(role, Role)
        role.sessions_from = 1000.5
    assert store.find(key.access_key_id, key.session_token) is None
    later = begun(store, now=1001.0)
    assert store.find(later.access_key_id, later.session_token) is not None
    with store.changing() as identities:
        identities.delete_owner(arn)
    again = begun(store, now=1002.0)
    assert store.find(later.access_key_id, later.session_token) is None
    assert store.find(again.access_key_id, again.session_token) is not None


def test_sessions_of_a_file_of_before_are_none(store: AccessKeyStore, tmp_path: Path) -> None:
    ended = AccessKey("ASIAOLD", "s", ALICE, session_token="t", expires_at=5.0)
    text = {"keys": [msgspec.to_builtins(ended)], "policies": []}
    (tmp_path / "iam.json").write_text(json.dumps(text))
    assert store.find("ASIAOLD") is None
    assert store.find("ASIAOLD", "t") is None


def test_whoever_has_a_policy_in_a_file_of_before_has_the_same_id_everywhere(
    store: AccessKeyStore, tmp_path: Path
) -> None:
    text = {"keys": [], "policies": [msgspec.to_builtins(policy("Allow", "dsql:*"))]}
    (tmp_path / "iam.json").write_text(json.dumps(text))
    found = store.identifier(ALICE)
    assert re.fullmatch("AIDA[A-Z2-7]{17}", found)
    store.add(new_access_key(ALICE))
    assert AccessKeyStore(tmp_path / "iam.json").identifier(ALICE) == found


def test_a_change_that_fails_leaves_everything_as_it_was(
    store: AccessKeyStore, tmp_path: Path
) -> None:
    store.add(new_access_key(ALICE))
    before = (tmp_path / "iam.json").read_bytes()
    with pytest.raises(IdentityError), store.changing() as identities:
        identities.create_user(ACCOUNT, "bob", 0.0)
        identities.create_user(ACCOUNT, "Alice", 0.0)
    assert (tmp_path / "iam.json").read_bytes() == before
    assert [user.name for user in store.identities().users] == ["alice"]


def test_a_managed_policy_is_whose_it_is_attached_to(store: AccessKeyStore) -> None:
    store.add(new_access_key(ALICE))
    statement = {"Effect": "Allow", "Action": "dsql:GetCluster", "Resource": "*"}
    with store.changing() as identities:
        identities.put_managed(ManagedPolicy("reads", {"Statement": statement}))
        identities.attach("reads", ALICE)
    assert allows(store, ALICE, "dsql:GetCluster")
    with pytest.raises(IdentityError, match="attached to alice"), store.changing() as identities:
        identities.delete_policy("reads")
    with store.changing() as identities:
        identities.detach("reads", ALICE)
        identities.delete_policy("reads")
    assert not allows(store, ALICE, "dsql:GetCluster")
