"""`dsql user`, `dsql role`, `dsql policy` and `dsql env --role`, on a data directory."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dsql.cli.main import main
from dsql.control.access_keys import AccessKeyStore, ensure_first_key
from dsql.control.authority import Authority
from dsql.control.clusters import DEFAULT_ACCOUNT, create_cluster
from dsql.control.layout import Layout
from dsql.control.resources import of_record, write_resource

READS = {"Effect": "Allow", "Action": "dsql:DbConnect", "Resource": "*"}


@pytest.fixture
def store(tmp_path: Path) -> AccessKeyStore:
    found = AccessKeyStore(Layout(tmp_path).access_keys)
    ensure_first_key(found, DEFAULT_ACCOUNT)
    return found


@pytest.fixture
def run(store: AccessKeyStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(command: str, action: str, *words: str, status: int = 0) -> str:
        found = main([command, action, "--data", str(tmp_path), *words])
        printed = capsys.readouterr()
        assert found == status, printed.err
        return printed.out + printed.err

    return call


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(**statement: Any) -> str:
        path = tmp_path / "policy.json"
        document = {"Version": "2012-10-17", "Statement": READS | statement}
        path.write_text(json.dumps(document))
        return str(path)

    return write


def test_a_user_has_what_is_attached_to_it_and_goes_with_its_keys(run, written, store) -> None:
    run("policy", "put", "connects", written())
    made = json.loads(run("user", "create", "app", "--attach", "connects", "--key", "--json"))
    assert store.find(made["AWS_ACCESS_KEY_ID"]).principal == made["arn"]
    line = run("user", "list").splitlines()[-1].split()
    assert line[0] == "app"
    assert line[-2:] == [made["AWS_ACCESS_KEY_ID"], "connects"]
    assert made["AWS_SECRET_ACCESS_KEY"] not in run("user", "list", "--json")
    assert "already exists" in run("user", "create", "App", status=1)
    assert "is attached to app" in run("policy", "delete", "connects", status=1)
    run("user", "delete", "app")
    run("policy", "delete", "connects")
    assert store.find(made["AWS_ACCESS_KEY_ID"]) is None
    assert "cannot be found" in run("user", "delete", "app", status=1)


def test_a_role_is_assumed_and_its_sessions_are_ended(run, written, store) -> None:
    run("user", "create", "app")
    run("role", "create", "writer", "--trust-user", "app", "--max-session", "7200")
    shown = json.loads(run("role", "get", "writer"))
    principal = shown["trust"]["Statement"][0]["Principal"]["AWS"]
    assert principal == [f"arn:aws:iam::{DEFAULT_ACCOUNT}:user/app"]
    assert shown["maxSessionDuration"] == 7200
    made = json.loads(run("role", "assume", "writer", "--session", "ci", "--json"))
    key = store.find(made["AWS_ACCESS_KEY_ID"], made["AWS_SESSION_TOKEN"])
    assert key.principal.endswith(":assumed-role/writer/ci")
    run("role", "end-sessions", "writer")
    assert store.find(made["AWS_ACCESS_KEY_ID"], made["AWS_SESSION_TOKEN"]) is None
    again = json.loads(run("role", "assume", "writer", "--json"))
    assert store.find(again["AWS_ACCESS_KEY_ID"], again["AWS_SESSION_TOKEN"]) is not None
    wrong = written(Principal="*")
    assert "cannot have a Resource" in run("role", "trust", "writer", wrong, status=1)


def test_policies_are_listed_by_whose_they_are(run, written) -> None:
    run("policy", "put", "connects", written())
    run("policy", "put", "own", written(), "--user", "administrator")
    run("policy", "attach", "connects", "--user", "administrator")
    listed = json.loads(run("policy", "list", "--user", "administrator", "--json"))["policies"]
    assert {one["name"] for one in listed} == {"connects", "own", "administrator"}
    shown = json.loads(run("policy", "get", "own", "--user", "administrator"))
    assert shown["Statement"] == READS
    run("policy", "delete", "own", "--user", "administrator")
    run("policy", "detach", "connects", "--user", "administrator")
    assert "no policy 'own'" in run("policy", "get", "own", status=1)
    assert "cannot be found" in run("policy", "list", "--user", "nobody", status=1)


def test_what_a_policy_would_decide_is_said_and_is_the_status(run, written) -> None:
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}, "StringEquals": {"dsql:DbUser": "a"}}
    run("user", "create", "app")
    run("policy", "put", "office", written(Condition=condition), "--user", "app")
    words = ("simulate", "dsql:DbConnect", "--user", "app", "--db-user")
    assert run("policy", *words, "a", "--source-ip", "10.1.1.1") == "allowed\n"
    told = run("policy", *words, "a", "--source-ip", "192.0.2.1", status=1)
    assert told.startswith("denied: User: ")
    run("policy", *words, "b", "--source-ip", "10.1.1.1", status=1)
    given = ("--context", "aws:SourceIp=10.1.1.1", "--json")
    assert json.loads(run("policy", *words, "a", *given)) == {"allowed": True, "reason": ""}


def test_a_clusters_policy_and_tags_are_part_of_what_is_simulated(run, written, tmp_path) -> None:
    layout = Layout(tmp_path)
    resource = of_record(create_cluster(layout, Authority.open(layout)))
    resource.tags = {"stage": "dev"}
    write_resource(layout, resource)
    run("user", "create", "app")
    tagged = {"StringEquals": {"aws:ResourceTag/stage": "dev"}}
    run("policy", "put", "dev", written(Condition=tagged), "--user", "app")
    words = ("simulate", "dsql:DbConnect", "--user", "app", "--cluster")
    assert run("policy", *words, resource.identifier) == "allowed\n"
    statement = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
    resource.policy = json.dumps({"Statement": statement})
    write_resource(layout, resource)
    assert "explicit deny in a resource-based" in run(
        "policy", *words, resource.identifier, status=1
    )
    run("policy", *words, "a" * 26, status=2)


def test_variables_of_a_role_are_those_of_one_of_its_sessions(run, store, tmp_path, capsys) -> None:
    layout = Layout(tmp_path)
    cluster = create_cluster(layout, Authority.open(layout))
    run("role", "create", "writer")
    words = ["env", "--data", str(tmp_path), "--role", "writer", "--user", "app", "--json"]
    assert main(words) == 0
    names = json.loads(capsys.readouterr().out)
    key = store.find(names["AWS_ACCESS_KEY_ID"], names["AWS_SESSION_TOKEN"])
    assert key.principal == f"arn:aws:sts::{cluster.account}:assumed-role/writer/dsql-env"
    assert time.time() < key.expires_at <= time.time() + 43_200
    assert "X-Amz-Security-Token=" in names["PGPASSWORD"]
    assert main([*words[:4], "nobody"]) == 1
    capsys.readouterr()
    assert main(["env", "--data", str(tmp_path), "--json"]) == 0
    assert "AWS_SESSION_TOKEN" not in json.loads(capsys.readouterr().out)
