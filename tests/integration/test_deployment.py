"""What docker/ and deploy/ start: each role alone, by the words of the files. All make a cluster."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from running_cluster import DSQL, free_port

from dsql.cli.main import COMMANDS, make_parser

ROOT = Path(__file__).parents[2]
SERVICES = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]
UNITS = ROOT / "deploy" / "systemd"
EXECUTABLE = "/opt/dsql/bin/dsql"
PATIENT_SECONDS = 30.0


@pytest.fixture
def roles(tmp_path: Path) -> Iterator[Path]:
    """The services of the compose file, run outside of Docker; returns what stands for /data."""
    data = tmp_path / "data"
    words = {
        name: [str(DSQL), *(outside_docker(word, data) for word in service["command"])]
        for name, service in SERVICES.items()
    }
    subprocess.run(words.pop("init"), check=True, capture_output=True, timeout=PATIENT_SECONDS)
    with (tmp_path / "log").open("w") as log:
        running = [subprocess.Popen(word, stdout=log, stderr=log) for word in words.values()]
    yield data
    keeper, *others = running  # which the others rest on, and compose stops after them
    for stopped in (others, [keeper]):
        for process in stopped:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(PATIENT_SECONDS) for process in stopped] == [0] * len(stopped)


def outside_docker(word: str, data: Path) -> str:
    word = re.sub(r"^0\.0\.0\.0:\d+$", lambda _: f"127.0.0.1:{free_port()}", word)
    return str(data) if word == "/data" else word


def test_roles_that_are_started_one_by_one_are_a_cluster(roles: Path) -> None:
    command = [DSQL, "psql", "--data", roles, "-c", "create table t (id int)", "--", "-Atq"]
    deadline = time.monotonic() + PATIENT_SECONDS
    while (answer := subprocess.run(command, capture_output=True, text=True)).returncode:
        assert time.monotonic() < deadline, answer.stderr + (roles.parent / "log").read_text()
        time.sleep(0.1)
    status = subprocess.run(
        [DSQL, "status", "--data", roles], capture_output=True, text=True, check=False
    )
    assert status.stdout.endswith("status: fine\n"), status.stdout


def test_each_zone_has_a_network_of_its_own() -> None:
    zones = {name: service for name, service in SERVICES.items() if name.startswith("az-")}
    assert len(zones) == 3
    for name, zone in zones.items():
        others = [service["networks"] for other, service in SERVICES.items() if other != name]
        assert not any(set(zone["networks"]) & set(networks) for networks in others), name


def test_units_start_what_the_compose_file_starts() -> None:
    """With placement and agent in one process, and a relay by its number."""
    roles = {re.sub(r"@?\.service$", "", path.name).removeprefix("dsql-") for path in units()}
    composed = {service["command"][0] for service in SERVICES.values()}
    assert roles == composed - {"placement", "agent"} | {"host", "certificates"}


def units() -> list[Path]:
    return sorted(UNITS.glob("*.service"))


@pytest.mark.parametrize("unit", units(), ids=lambda path: path.name)
def test_a_unit_starts_a_command_that_there_is(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", unit.read_text(), re.M)
    executable, *words = line.replace("%i", "1").split()
    assert executable == EXECUTABLE
    parsed = make_parser(COMMANDS).parse_args(words)
    assert str(parsed.data) == "/var/lib/dsql"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    for path in [*units(), UNITS / "dsql.target"]:
        text = path.read_text().replace(EXECUTABLE, str(DSQL if DSQL.exists() else sys.executable))
        (tmp_path / path.name).write_text(text)
    answer = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", tmp_path / "dsql.target"]
        + [tmp_path / path.name.replace("@.", "@1.") for path in units()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (0, "")
