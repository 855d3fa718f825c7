"""Where a cluster is, and as whom to connect: what all drivers of the client kit are given.

    endpoint = Endpoint("ID.dsql.us-east-1.on.aws")            # credentials: as boto3 finds them
    endpoint = Endpoint.from_environment()                     # what `dsql env` prints, or AWS's own

Each connection makes its own token just before it needs it, so none is ever stale. TLS is always verified
against the endpoint's name, also where `address` says where to dial.
"""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dsql.client.auth_token import ADMIN_USER, Credentials, generate_auth_token
from dsql.client.credentials import from_botocore

CONNECT_SECONDS_MAX = 10.0
TOKEN_EXPIRES_SECONDS = 60
# A server closes a connection after an hour. Ours retire before, by as much as one may stay idle or in use,
# and at random moments, so that they do not all come back together.
LIFETIME_SECONDS_MIN = 2_700.0
LIFETIME_SECONDS_MAX = 3_300.0
_SYSTEM = "system"  # libpq's word for the system's authorities


@dataclass(frozen=True)
class Endpoint:
    """A cluster and a user of it.

    `host`: the cluster's name, ID.dsql.REGION.on.aws. `region` is taken from it if it is empty.
    `address`: where to dial if that name does not resolve, such as 127.0.0.1.
    `certificate_authority`: the path of a PEM file; the system's authorities if it is empty.
    `credentials`: is called for each connection, so that they may change. Raises what it wants.
    """

    host: str
    region: str = ""
    user: str = ADMIN_USER
    database: str = "postgres"
    address: str = ""
    port: int = 5432
    certificate_authority: str = ""
    credentials: Callable[[], Credentials] = field(default_factory=from_botocore, repr=False)

    def __post_init__(self) -> None:
        """Find the region. Raises ValueError."""
        if not self.region:
            object.__setattr__(self, "region", region_of(self.host))

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> Endpoint:
        """Return the endpoint that libpq's and AWS's variables describe. Raises KeyError, ValueError.

        DSQL_ENDPOINT or PGHOST has to be there; PGHOSTADDR, PGPORT, PGUSER, PGDATABASE, PGSSLROOTCERT and
        AWS_REGION may be. PGPASSWORD is not looked at.
        """
        authority = variables.get("PGSSLROOTCERT", "")
        return cls(
            host=variables.get("DSQL_ENDPOINT") or variables["PGHOST"],
            region=variables.get("AWS_REGION", ""),
            user=variables.get("PGUSER", ADMIN_USER),
            database=variables.get("PGDATABASE", "postgres"),
            address=variables.get("PGHOSTADDR", ""),
            port=int(variables.get("PGPORT", "5432")),
            certificate_authority="" if authority == _SYSTEM else authority,
        )

    def token(self) -> str:
        """Return a fresh token, good for a minute. It may take as long as the credentials do."""
        return generate_auth_token(
            self.user, self.host, self.region, self.credentials(), TOKEN_EXPIRES_SECONDS
        )

    def libpq_parameters(self) -> dict[str, str]:
        """Return libpq's connection parameters, a fresh token among them."""
        parameters = {
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            "dbname": self.database,
            "password": self.token(),
            "sslmode": "verify-full",
            "sslrootcert": self.certificate_authority or _SYSTEM,
            "connect_timeout": f"{CONNECT_SECONDS_MAX:.0f}",
        }
        return parameters | ({"hostaddr": self.address} if self.address else {})

    def variables(self) -> dict[str, str]:
        """Return environment variables for libpq's and AWS's programs; `from_environment` reads them back.

        They hold secrets: a fresh token, and the credentials for the next ones.
        """
        key = self.credentials()
        variables = {
            "PGHOST": self.host,
            "PGHOSTADDR": self.address,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
            "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": self.certificate_authority or _SYSTEM,
            "PGPASSWORD": self.token(),
            "DSQL_ENDPOINT": self.host,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,  # boto3 knows this one only
            "AWS_ACCESS_KEY_ID": key.access_key_id,
            "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
            "AWS_SESSION_TOKEN": key.session_token,
        }
        return {name: value for name, value in variables.items() if value}

    def tls_context(self) -> EndpointContext:
        """Return a context that verifies this endpoint."""
        context = EndpointContext(ssl.PROTOCOL_TLS_CLIENT)
        context.endpoint = self.host
        if self.certificate_authority:
            context.load_verify_locations(self.certificate_authority)
        else:
            context.load_default_certs()
        context.set_alpn_protocols(["postgresql"])
        return context


class EndpointContext(ssl.SSLContext):
    """A TLS context that asks for, and verifies, one endpoint's name wherever the socket leads."""

    endpoint = ""

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """Wrap with the endpoint as the server's name."""
        options["server_hostname"] = self.endpoint
        return super().wrap_bio(*arguments, **options)


def region_of(host: str) -> str:
    """Return the region that an endpoint's name says. Raises ValueError.

    >>> region_of("abc.dsql.eu-west-1.on.aws")
    'eu-west-1'
    """
    parts = host.split(".")
    if "dsql" in parts[:-1]:
        return parts[parts.index("dsql") + 1]
    raise ValueError(f"{host!r} names no region: give it as region, or as AWS_REGION")


def lifetime_seconds() -> float:
    """Return after how long a connection that is made now is to retire."""
    return random.uniform(LIFETIME_SECONDS_MIN, LIFETIME_SECONDS_MAX)
