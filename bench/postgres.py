"""A throwaway PostgreSQL with TLS to measure beside: alone, or with two synchronous standbys.

`ANY 1 (s1, s2)` makes a commit wait for the WAL of one standby as well as its own: two of three copies,
which is the durability that a commit has here.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_USER = "postgres"
_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{directory}'
ssl = on
ssl_cert_file = '{directory}/cert.pem'
ssl_key_file = '{directory}/key.pem'
shared_buffers = 1GB
max_connections = 3000
max_wal_size = 4GB
wal_level = replica
max_wal_senders = 10
"""
_ACCESS = """
local   all         all                        trust
hostssl replication all          127.0.0.1/32  scram-sha-256
hostssl all         all          127.0.0.1/32  scram-sha-256
"""


def binaries() -> Path | None:
    """Return the folder of the newest installed PostgreSQL server, None without one."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if installed:
        return installed[-1].parent
    found = shutil.which("initdb")
    return Path(found).parent if found else None


def _version(path: Path) -> int:
    name = path.parent.parent.name
    return int(name) if name.isdigit() else 0


def _as_user(*command: str | Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    words = [str(word) for word in command]
    return ["runuser", "-u", _USER, "--", *words] if os.geteuid() == 0 else words


def _run(*command: str | Path) -> str:
    done = subprocess.run(_as_user(*command), capture_output=True, text=True, check=False, cwd="/")
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def running(directory: Path, port: int, *, standbys: int) -> Iterator[dict[str, str]]:
    """Run PostgreSQL on 127.0.0.1:port and yield libpq's variables for it."""
    bin_ = binaries()
    assert bin_ is not None
    password = secrets.token_hex(16)
    directory.mkdir(parents=True)
    _prepare(bin_, directory, port, password)
    nodes = [directory / "primary"]
    try:
        _start(bin_, nodes[0])
        for number in range(1, standbys + 1):
            nodes.append(_standby(bin_, directory, port, number, password))
            _start(bin_, nodes[-1])
        if standbys:
            _make_synchronous(bin_, directory, port, standbys)
        yield {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(port),
            "PGUSER": _USER,
            "PGDATABASE": "postgres",
            "PGPASSWORD": password,
            "PGSSLMODE": "require",
        }
    finally:
        for node in reversed(nodes):
            subprocess.run(
                _as_user(bin_ / "pg_ctl", "-D", node, "-m", "immediate", "stop"),
                capture_output=True,
                check=False,
                cwd="/",
            )


def _prepare(bin_: Path, directory: Path, port: int, password: str) -> None:
    password_file = directory / "password"
    password_file.write_text(password)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "30", "-subj", "/CN=localhost"),
            *("-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")),
        ],
        capture_output=True,
        check=True,
    )
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USER)
        for path in (directory, *directory.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
    primary = directory / "primary"
    _run(
        bin_ / "initdb",
        *("-D", primary, "-U", _USER, "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256"),
        f"--pwfile={password_file}",
    )
    with (primary / "postgresql.conf").open("a") as file:
        file.write(_SETTINGS.format(port=port, directory=directory))
    (primary / "pg_hba.conf").write_text(_ACCESS)


def _start(bin_: Path, node: Path) -> None:
    _run(bin_ / "pg_ctl", "-D", node, "-l", f"{node}.log", "-w", "-t", "60", "start")


def _standby(bin_: Path, directory: Path, port: int, number: int, password: str) -> Path:
    name = f"s{number}"
    node = directory / name
    source = (
        f"host=127.0.0.1 port={port} user={_USER} password={password} sslmode=require "
        f"application_name={name}"
    )
    _run(bin_ / "pg_basebackup", "-d", source, "-D", node, "-X", "stream", "-c", "fast")
    with (node / "postgresql.conf").open("a") as file:
        file.write(f"port = {port + number}\nshared_buffers = 256MB\n")
        file.write(f"primary_conninfo = '{source}'\n")
    (node / "standby.signal").touch()
    if os.geteuid() == 0:
        user = pwd.getpwnam(_USER)
        os.chown(node / "standby.signal", user.pw_uid, user.pw_gid)
    return node


def _make_synchronous(bin_: Path, directory: Path, port: int, standbys: int) -> None:
    names = ",".join(f"s{number}" for number in range(1, standbys + 1))
    psql = [bin_ / "psql", "-h", directory, "-p", str(port), "-U", _USER, "-qAtX", "-c"]
    _run(*psql, f"alter system set synchronous_standby_names = 'ANY 1 ({names})'")
    _run(*psql, "select pg_reload_conf()")
    query = "select count(*) from pg_stat_replication where sync_state = 'quorum'"
    for _ in range(100):
        if _run(*psql, query).strip() == str(standbys):
            return
        time.sleep(0.1)
    raise RuntimeError("the standbys did not become synchronous")
