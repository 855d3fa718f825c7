"""`dsql cluster`, on a control plane without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from direct_service import Service

from dsql.cli import cluster
from dsql.cli.main import main
from dsql.control.layout import Layout

Command = Callable[..., str]


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    service = Service(Layout(tmp_path))
    monkeypatch.setattr(cluster, "_client", lambda _: service.client())

    def run(*words: str, status: int = 0) -> str:
        assert main(["cluster", *words]) == status
        shown = capsys.readouterr()
        return shown.err if status else shown.out

    return run


def test_a_clusters_life(command: Command) -> None:
    made = json.loads(command("create", "--tag", "Name=orders", "--wait", "--json"))
    identifier = made["identifier"]
    assert made["status"] == "ACTIVE"
    assert command("list").splitlines()[1] == f"{identifier}  {made['arn']}"
    assert json.loads(command("get", identifier, "--json"))["tags"] == {"Name": "orders"}
    assert "Stage=test" in command("tag", identifier, "Stage=test", "--remove", "Name")
    assert command("delete", identifier, status=1).startswith("dsql cluster: ValidationException: ")
    command("update", identifier, "--no-deletion-protection")
    assert "DELETING" in command("delete", identifier)
    assert "ACTIVE" not in command("get", identifier)


def test_what_is_no_tag_is_refused(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command("create", "--tag", "orders")
    assert "'orders' is not KEY=VALUE" in capsys.readouterr().err
