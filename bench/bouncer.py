"""A throwaway PgBouncer in transaction mode before a PostgreSQL, for clients with TLS."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS_MAX = 10.0
_POOL = 20  # connections to PostgreSQL
_SETTINGS = """
[databases]
postgres = host=127.0.0.1 port={server} dbname=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
listen_backlog = 4096
unix_socket_dir =
pool_mode = transaction
max_client_conn = 12000
default_pool_size = {pool}
auth_type = plain
auth_file = {directory}/users
client_tls_sslmode = require
client_tls_cert_file = {directory}/cert.pem
client_tls_key_file = {directory}/key.pem
server_tls_sslmode = require
log_connections = 0
log_disconnections = 0
"""


def binary() -> str | None:
    """Return the program, None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def running(
    directory: Path, port: int, variables: Mapping[str, str], certificate: Path
) -> Iterator[dict[str, str]]:
    """Run PgBouncer on 127.0.0.1:port and yield libpq's variables for it.

    `variables` are those of the PostgreSQL behind it, `certificate` the folder of its cert.pem and key.pem.
    A password goes through TLS as it is, as a token does: nothing cheaper is possible.
    """
    program = binary()
    assert program is not None
    directory.mkdir(parents=True)
    for name in ("cert.pem", "key.pem"):
        shutil.copy(certificate / name, directory / name)
    (directory / "users").write_text(f'"{variables["PGUSER"]}" "{variables["PGPASSWORD"]}"\n')
    settings = _SETTINGS.format(
        server=variables["PGPORT"], port=port, pool=_POOL, directory=directory
    )
    (directory / "pgbouncer.ini").write_text(settings)
    command = [program, "-q", str(directory / "pgbouncer.ini")]
    if os.geteuid() == 0:  # it refuses to run as root, too
        user = pwd.getpwnam(variables["PGUSER"])
        for path in (directory, *directory.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        command = ["runuser", "-u", variables["PGUSER"], "--", *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ours = dict(variables) | {"PGPORT": str(port)}
    try:
        _wait(ours)
        yield ours
    finally:
        process.terminate()
        process.wait(10)


def _wait(variables: Mapping[str, str]) -> None:
    deadline = time.monotonic() + _START_SECONDS_MAX
    command = ["psql", "-qAtX", "-c", "select 1"]
    while subprocess.run(
        command, env=os.environ | dict(variables), capture_output=True, check=False
    ).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError("PgBouncer did not start")
        time.sleep(0.1)
