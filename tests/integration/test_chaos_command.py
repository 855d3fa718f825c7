"""`dsql chaos` does what it says, undoes what lasts, and asks before it harms what was not meant for it."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_cluster import DSQL, RunningCluster


@pytest.fixture(scope="module")
def chaotic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    running = RunningCluster(tmp_path_factory.mktemp("chaotic"), options=("--chaos",)).start()
    yield running
    running.stop()


def words(cluster: RunningCluster, *options: str) -> list[str]:
    return [str(DSQL), "chaos", "--data", str(cluster.directory / "data"), *options]


def chaos(cluster: RunningCluster, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(cluster, *options), capture_output=True, text=True, timeout=120, check=False
    )


def stopped(cluster: RunningCluster) -> list[int]:
    def state(process_id: int) -> str:
        stat = Path(f"/proc/{process_id}/stat").read_text()
        return stat.rpartition(")")[2].split()[0]

    return [process_id for process_id in cluster.processes() if state(process_id) in "Tt"]


def test_a_fault_is_done_measured_and_undone(chaotic: RunningCluster) -> None:
    zones = [f"us-east-1{letter}.az" for letter in "abc"]
    before = [chaotic.role(zone) for zone in zones]  # any of them may lead
    faults = ("--faults", "kill-leader,pause-relay,cut-zone", "--hold", "1", "--rest", "0.1")
    answer = chaos(chaotic, *faults, "--json", "--seed", "3")
    assert answer.returncode == 0, answer.stderr + answer.stdout
    result = json.loads(answer.stdout)
    assert result["violations"] == []
    assert set(result["longest"]) == {"kill-leader", "pause-relay", "cut-zone"}
    assert result["longest"]["pause-relay"]["connections"] > 0.4
    assert [chaotic.role(zone) for zone in zones] != before
    assert stopped(chaotic) == []


def test_what_lasts_is_undone_when_the_command_is_stopped(chaotic: RunningCluster) -> None:
    options = ("--faults", "pause-zone", "--hold", "60", "--rest", "0")
    with subprocess.Popen(
        words(chaotic, *options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while not stopped(chaotic):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert "what lasted is undone" in output
    assert stopped(chaotic) == []


def test_a_cluster_that_was_not_meant_for_it_is_left_alone(cluster: RunningCluster) -> None:
    answer = chaos(cluster, "--faults", "kill-leader")
    assert answer.returncode == 2
    assert "--yes" in answer.stderr
    assert "cut-leader" in chaos(cluster, "--list").stdout


def test_misuse_is_one_line(chaotic: RunningCluster) -> None:
    answer = chaos(chaotic, "--faults", "explode")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
