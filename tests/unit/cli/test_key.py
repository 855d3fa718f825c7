"""`dsql key`, on a data directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dsql.cli.main import main
from dsql.control.access_keys import AccessKeyStore, ensure_first_key
from dsql.control.identities import AccessKey
from dsql.control.layout import Layout
from dsql.iam.request import AccessRequest


@pytest.fixture
def store(tmp_path: Path) -> AccessKeyStore:
    found = AccessKeyStore(Layout(tmp_path).access_keys)
    ensure_first_key(found, "111122223333")
    return found


def run(tmp_path: Path, *words: str, status: int = 0) -> None:
    assert main(["key", words[0], "--data", str(tmp_path), *words[1:]]) == status


def allows(store: AccessKeyStore, principal: str, action: str) -> bool:
    key = AccessKey("", "", principal)
    return store.decide(key, AccessRequest(principal, action, "*")).allowed


def test_a_users_key_has_what_was_allowed(
    store: AccessKeyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "create", "--user", "app", "--allow", "dsql:DbConnect", "--json")
    made = json.loads(capsys.readouterr().out)
    key = store.find(made["AWS_ACCESS_KEY_ID"])
    assert key is not None
    assert key.secret_access_key == made["AWS_SECRET_ACCESS_KEY"]
    assert allows(store, made["arn"], "dsql:DbConnect")
    assert not allows(store, made["arn"], "dsql:DbConnectAdmin")
    run(tmp_path, "disable", key.access_key_id)
    assert not store.find(key.access_key_id).active  # type: ignore[union-attr]
    run(tmp_path, "list")
    shown = capsys.readouterr().out.splitlines()
    assert [key.access_key_id, "off", made["arn"], "allow"] in [line.split() for line in shown]
    assert key.secret_access_key not in "".join(shown)
    run(tmp_path, "remove", key.access_key_id)
    assert store.find(key.access_key_id) is None
    run(tmp_path, "enable", key.access_key_id, status=1)


def test_a_policys_file_has_to_be_one(
    store: AccessKeyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "policy.json"
    words = ("create", "--user", "ops", "--policy", str(path))
    run(tmp_path, *words, status=1)
    for text in ("{", '{"Statement": {"Effect": "Allow"}}'):
        path.write_text(text)
        run(tmp_path, *words, status=1)
    assert len(store.keys()) == 1
    statement = {"Effect": "Allow", "Action": "dsql:*", "Resource": "*"}
    path.write_text(json.dumps({"Statement": statement}))
    run(tmp_path, *words)
    assert capsys.readouterr().out.startswith("export AWS_ACCESS_KEY_ID=AKIA")
    assert allows(store, "arn:aws:iam::111122223333:user/ops", "dsql:CreateCluster")


def test_a_session_of_a_role_has_what_the_role_has_for_its_time(
    store: AccessKeyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--role", "writer", "--allow", "dsql:DbConnect", "--expires-in", "900", "--json")
    run(tmp_path, "create", *words)
    made = json.loads(capsys.readouterr().out)
    assert made["arn"] == "arn:aws:iam::111122223333:role/writer"
    key = store.find(made["AWS_ACCESS_KEY_ID"], made["AWS_SESSION_TOKEN"])
    assert key is not None
    assert key.session_token == made["AWS_SESSION_TOKEN"]
    assert key.usable(key.expires_at - 1)
    assert not key.usable(key.expires_at)
    assert key.principal == "arn:aws:sts::111122223333:assumed-role/writer/dsql-key"
    assert allows(store, key.principal, "dsql:DbConnect")
