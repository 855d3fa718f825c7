"""What a client must know: environment variables, a file of them for a shell, a command to paste."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from dsql.cli.options import DEFAULT_DATA
from dsql.client.auth_token import ADMIN_USER, Credentials, generate_auth_token
from dsql.control.atomic_file import PRIVATE, write_atomically
from dsql.control.layout import ClusterRecord

TOKEN_SECONDS = 24 * 3600
_ENDPOINTS = ("AWS_ENDPOINT_URL_DSQL", "AWS_ENDPOINT_URL_STS")


class Access(NamedTuple):
    """How to reach a cluster as `user`. `authority` is the root certificate's absolute path.

    `api` is the URL of the control plane, "" if there is none.
    """

    record: ClusterRecord
    host: str
    port: int
    authority: Path
    credentials: Credentials
    token: str
    api: str = ""
    user: str = ADMIN_USER

    def libpq_variables(self) -> dict[str, str]:
        """Return the variables with which every libpq program connects."""
        return {
            "PGHOST": self.record.endpoint,
            "PGHOSTADDR": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": "postgres",
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(self.authority),
            "PGPASSWORD": self.token,
        }

    def variables(self) -> dict[str, str]:
        """Return libpq's, AWS's and our own environment variables."""
        session = self.credentials.session_token
        return self.libpq_variables() | {
            "DSQL_CLUSTER": self.record.identifier,
            "DSQL_ENDPOINT": self.record.endpoint,
            "AWS_ACCESS_KEY_ID": self.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_access_key,
            **({"AWS_SESSION_TOKEN": session} if session else {}),
            "AWS_REGION": self.record.region,
            "AWS_DEFAULT_REGION": self.record.region,  # boto3 knows this one only
            **(dict.fromkeys(_ENDPOINTS, self.api) if self.api else {}),
            **({"AWS_CA_BUNDLE": str(self.authority)} if self.api.startswith("https:") else {}),
        }

    def psql_command(self, data: Path, *, several: bool) -> str:
        """Return the short command that opens psql when pasted into a shell; `data` is the data directory.

        It may end up in a log or a scrollback, so that it makes its token when it runs. `several`:
        there are other clusters, so it has to say which.
        """
        words = [*_own_command(), "psql"]
        if data.absolute() != Path(DEFAULT_DATA).absolute():
            words += ["--data", str(data.absolute())]
        if several:
            words.append(self.record.identifier)
        return shlex.join(words)

    def shell_lines(self) -> str:
        """Return the variables as lines that a POSIX shell reads, bash, zsh and fish among them."""
        return "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in self.variables().items()
        )

    def write(self, path: Path) -> None:
        """Write the variables as a file for `source`, readable by its owner only."""
        write_atomically(path, self.shell_lines().encode(), PRIVATE)


def make_access(
    record: ClusterRecord,
    listen: tuple[str, int],
    authority: Path,
    credentials: Credentials,
    api: str = "",
    *,
    user: str = ADMIN_USER,
    expires_in: int = TOKEN_SECONDS,
) -> Access:
    """Return the access to a cluster whose relay listens at `listen`, with a fresh token.

    `expires_in` is the token's age in seconds.
    """
    token = generate_auth_token(user, record.endpoint, record.region, credentials, expires_in)
    host, port = listen
    return Access(record, _reachable(host), port, authority, credentials, token, api, user)


def _own_command() -> list[str]:
    """Return the words that run `dsql` from anywhere."""
    script = Path(sys.executable).with_name("dsql")
    found = shutil.which("dsql")
    if found is not None and script.exists() and script.samefile(found):
        return ["dsql"]
    return [str(script)] if script.exists() else [sys.executable, "-m", "dsql.cli.main"]


def _reachable(host: str) -> str:
    """Return an address to connect to for one that is listened on."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}
    return everywhere.get(host, host)
