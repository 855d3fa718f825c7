from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from dsql.cli.environment_file import make_access
from dsql.client.auth_token import Credentials
from dsql.control.layout import ClusterRecord

RECORD = ClusterRecord("a" * 26, "us-east-1", "a.dsql.us-east-1.on.aws", "1", "dsql", ["az1"], 0)


def test_shell_reads_the_variables_back_unchanged(tmp_path: Path) -> None:
    authority = tmp_path / "a folder's" / "ca.pem"
    access = make_access(RECORD, ("0.0.0.0", 5433), authority, Credentials("AK", "s/+'\"$x"))
    access.write(tmp_path / "env")
    script = f". {tmp_path}/env; env -0"
    output = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode()
    seen = dict(line.partition("=")[::2] for line in output.split("\0"))
    assert access.variables().items() <= seen.items()
    assert seen["PGHOSTADDR"] == "127.0.0.1"


def test_environment_file_is_its_owners_only(tmp_path: Path) -> None:
    access = make_access(RECORD, ("127.0.0.1", 5432), tmp_path / "ca.pem", Credentials("AK", "s"))
    access.write(tmp_path / "env")
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("listen", "address"), [("::", "::1"), ("127.0.0.2", "127.0.0.2"), ("localhost", "127.0.0.1")]
)
def test_client_gets_an_address_that_it_can_reach(listen: str, address: str) -> None:
    access = make_access(RECORD, (listen, 5432), Path("/ca.pem"), Credentials("AK", "s"))
    assert access.host == address
