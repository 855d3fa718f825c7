import re
import stat
from pathlib import Path

import pytest

from dsql.control.access_keys import (
    AccessKey,
    AccessKeyStore,
    Statement,
    ensure_first_key,
    mapped_identity,
    new_access_key,
)

ACCOUNT = "111122223333"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
CLUSTER = f"arn:aws:dsql:us-east-1:{ACCOUNT}:cluster/{'a' * 26}"
OTHER = f"arn:aws:dsql:us-east-1:{ACCOUNT}:cluster/{'b' * 26}"


@pytest.fixture
def store(tmp_path: Path) -> AccessKeyStore:
    return AccessKeyStore(tmp_path / "iam.json")


def test_first_key_has_the_shapes_of_aws_and_may_connect_everywhere(store: AccessKeyStore) -> None:
    key = ensure_first_key(store, ACCOUNT)
    assert re.fullmatch("AKIA[A-Z2-7]{16}", key.access_key_id)
    assert re.fullmatch("[A-Za-z0-9+/]{40}", key.secret_access_key)
    assert store.allows(key.principal, "dsql:DbConnectAdmin", CLUSTER)
    assert ensure_first_key(store, ACCOUNT) == key


def test_store_is_readable_by_the_owner_only(store: AccessKeyStore, tmp_path: Path) -> None:
    ensure_first_key(store, ACCOUNT)
    assert stat.S_IMODE((tmp_path / "iam.json").stat().st_mode) == 0o600


def test_change_by_another_process_is_seen(store: AccessKeyStore, tmp_path: Path) -> None:
    assert store.find("AKIAEXAMPLE") is None
    other = AccessKeyStore(tmp_path / "iam.json")
    other.add(AccessKey("AKIAEXAMPLE", "secret", ALICE))
    assert store.find("AKIAEXAMPLE") is not None
    other.remove("AKIAEXAMPLE")
    assert store.find("AKIAEXAMPLE") is None


def test_nothing_is_allowed_unless_a_statement_says_so(store: AccessKeyStore) -> None:
    store.add(new_access_key(ALICE))
    assert not store.allows(ALICE, "dsql:DbConnect", CLUSTER)


def test_deny_beats_allow(store: AccessKeyStore) -> None:
    allow = Statement("Allow", ["*"], ["dsql:*"], ["*"])
    deny = Statement("Deny", [ALICE], ["dsql:DbConnectAdmin"], [CLUSTER])
    store.add(new_access_key(ALICE), [allow, deny])
    assert not store.allows(ALICE, "dsql:DbConnectAdmin", CLUSTER)
    assert store.allows(ALICE, "dsql:DbConnect", CLUSTER)
    assert store.allows(ALICE, "dsql:DbConnectAdmin", OTHER)


def test_wildcards_take_no_bracket_classes(store: AccessKeyStore) -> None:
    store.add(new_access_key(ALICE), [Statement("Allow", [ALICE], ["dsql:DbConnect"], ["[a-z]*"])])
    assert not store.allows(ALICE, "dsql:DbConnect", CLUSTER)


def test_inactive_and_ended_keys_are_not_usable() -> None:
    assert AccessKey("A", "s", ALICE).usable(now=5.0)
    assert not AccessKey("A", "s", ALICE, active=False).usable(now=5.0)
    assert not AccessKey("A", "s", ALICE, session_token="t", expires_at=5.0).usable(now=5.0)


def test_assumed_role_is_mapped_to_its_role() -> None:
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/Writer/laptop"
    assert mapped_identity(session) == f"arn:aws:iam::{ACCOUNT}:role/Writer"
    assert mapped_identity(ALICE) == ALICE
