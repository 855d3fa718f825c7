"""AWS's connector for node-postgres, unmodified, with the packages of node/ that `make test` installs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from running_cluster import RunningCluster

NODE = Path(__file__).parent / "node"
pytestmark = pytest.mark.skipif(
    not shutil.which("node") or not (NODE / "node_modules").exists(),
    reason="node is not installed, or its packages are not (npm ci in tests/drivers/node)",
)


def test_the_connector_of_node_postgres_pools_and_queries(cluster: RunningCluster) -> None:
    answer = subprocess.run(
        ["node", "connector.mjs"],
        cwd=NODE,
        env=os.environ | cluster.variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == [{"id": 2, "name": "v2"}, {"id": 3, "name": "v3"}]
