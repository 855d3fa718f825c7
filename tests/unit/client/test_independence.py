"""The client kit runs where nothing of the server is installed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dsql

ROOT = Path(dsql.__file__).parents[1]
_PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
# names in pyproject.toml whose module is called otherwise
_MODULES = {"google-crc32c": "google_crc32c", "google-re2": "re2", "pyopenssl": "OpenSSL"}
_PROGRAM = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Blocker())
import MODULE
loaded = {name.partition(".")[0] for name in sys.modules}
ours = [name for name in sys.modules if name.startswith("dsql.") and not name.startswith("dsql.client")]
print(*ours, *(loaded & {"relay", "placement", "journal", "adjudicator", "storage"}))
"""


def servers_modules() -> set[str]:
    names = (re.split(r"[^\w-]", line, maxsplit=1)[0] for line in _PROJECT["dependencies"])
    return {_MODULES.get(name, name.replace("-", "_")) for name in names} - {"greenlet"}


@pytest.mark.parametrize("module", ["endpoint", "asyncpg", "psycopg", "sqlalchemy", "retry"])
def test_a_program_loads_nothing_of_the_server(module: str) -> None:
    """SQLAlchemy brings greenlet itself."""
    blocked = servers_modules() | {"botocore"}
    assert {"boto3", "lmdb", "OpenSSL", "re2"} < blocked
    program = _PROGRAM.replace("BLOCKED", repr(blocked)).replace("MODULE", f"dsql.client.{module}")
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (found.stdout.split(), found.returncode) == ([], 0), found.stderr
