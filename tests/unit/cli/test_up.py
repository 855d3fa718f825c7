"""What `dsql up` starts."""

from __future__ import annotations

import argparse

import pytest

from dsql.cli import roles, up
from dsql.cli.supervisor import RoleSpec
from dsql.control.layout import ClusterRecord


def started(*words: str, profile: str = "dsql") -> dict[str, RoleSpec]:
    parser = argparse.ArgumentParser()
    up.configure(parser)
    record = ClusterRecord("c", "r", "e", "1", profile, ["z-a", "z-b", "z-c"], 0.0)
    return {spec.name: spec for spec in up._roles(parser.parse_args(words), record)}


def option(spec: RoleSpec, name: str) -> str:
    return spec.arguments[spec.arguments.index(name) + 1]


def test_relays_share_what_strangers_may_do_and_the_port() -> None:
    specs = started("--relays", "3", "--open-logins", "100", "--cancel-rate", "1")
    relays = [spec for name, spec in specs.items() if name.startswith("relay-")]
    assert [option(spec, "--name") for spec in relays] == ["relay-1", "relay-2", "relay-3"]
    assert {option(spec, "--open-logins") for spec in relays} == {"34"}
    assert {option(spec, "--cancel-rate") for spec in relays} == {"1"}
    assert len({option(spec, "--listen") for spec in relays}) == 1


@pytest.mark.parametrize(("profile", "rate"), [("dsql", "100"), ("postgres", "0")])
def test_the_rate_of_a_clusters_connections_is_kept_in_one_place(profile: str, rate: str) -> None:
    specs = started("--relays", "3", profile=profile)
    assert option(specs["host"], "--connection-rate") == rate
    assert option(specs["host"], "--connection-burst") == "1000"
    assert "--connection-rate" not in specs["relay-1"].arguments


@pytest.mark.parametrize("role", ["relay-1", "relay-2", "host"])
def test_roles_understand_what_they_are_told(role: str) -> None:
    command, *words = started("--relays", "2")[role].arguments
    parser = argparse.ArgumentParser(prog=f"dsql {command}")
    roles.configure(parser)
    parsed = parser.parse_args(words)
    assert parsed.az == "z-a"


@pytest.mark.parametrize(("hard", "warned"), [(4_096, True), (1_048_576, False)])
def test_too_few_open_files_are_told(
    hard: int, warned: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    raised = []
    monkeypatch.setattr(roles.resource, "getrlimit", lambda _: (1_024, hard))
    monkeypatch.setattr(roles.resource, "setrlimit", lambda _, limits: raised.append(limits))
    roles._allow_descriptors()
    assert raised == [(hard, hard)]
    assert ("open files are limited to 4096" in caplog.text) is warned
