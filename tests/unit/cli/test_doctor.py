from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from dsql.cli import host_checks, sandbox_trial
from dsql.cli.doctor import table
from dsql.cli.host_checks import Finding, Host, Severity
from dsql.cli.main import main


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "not" / "there", ("127.0.0.1", 1))


def of(findings: object, what: str) -> Finding:
    (found,) = [finding for finding in findings if finding.what == what]
    return found


def test_a_host_that_runs_these_tests_can_run_a_cluster(tmp_path: Path, capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        status = main(["doctor", "--data", str(tmp_path), "--listen", str(port), "--json"])
    findings = {found["what"]: found for found in json.loads(capsys.readouterr().out)}
    assert status == Severity.LACKING
    assert findings["port"]["severity"] == "lacking"
    assert not [found for found in findings.values() if found["severity"] == "broken"]
    assert not os.listdir(tmp_path)


def test_a_folder_that_is_not_there_yet_is_looked_for_above(host: Host, tmp_path: Path) -> None:
    assert host.folder == tmp_path
    assert of(host_checks.check_disk(host), "files").severity is Severity.FINE


def test_a_file_system_without_what_is_needed_breaks(host: Host, monkeypatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    found = of(host_checks.check_disk(host), "files")
    assert found.severity is Severity.BROKEN
    assert "Operation not supported" in found.text


@pytest.mark.parametrize(("free", "severity"), [(1, 2), (2**30, 1), (2**40, 0)])
def test_room_is_judged_by_what_is_free(host, monkeypatch, free: int, severity: int) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(host_checks.shutil, "disk_usage", lambda folder: usage)
    assert of(host_checks.check_disk(host), "room").severity == severity


def test_a_part_of_the_sandbox_that_is_missing_is_named(host: Host, monkeypatch) -> None:
    monkeypatch.setattr(sandbox_trial.seccomp, "restrict", lambda: ["seccomp"])
    found = of(host_checks.check_sandbox(host), "sandbox")
    assert found.severity is Severity.LACKING
    assert "seccomp" in found.text


def test_only_what_is_not_fine_has_something_to_do() -> None:
    lines = table(
        [
            Finding("room", Severity.FINE, "much", "have more"),
            Finding("psql", Severity.LACKING, "not installed", "install it"),
        ]
    )
    assert "have more" not in lines
    assert "to do: install it" in lines
    assert lines.endswith("doctor: lacking")
