"""Where access keys come from: given by the program, or found as every AWS tool finds them.

Endpoint(host, credentials=lambda: Credentials("AKIA...", "..."))
Endpoint(host, credentials=from_botocore("a-profile"))
"""

from __future__ import annotations

from collections.abc import Callable

from dsql.client.auth_token import Credentials


class NoCredentialsError(Exception):
    """There is no access key in the environment, the AWS files, or what else botocore looks at."""


def from_botocore(profile: str | None = None) -> Callable[[], Credentials]:
    """Return what asks botocore each time: environment, files, SSO, container and instance roles.

    Temporary credentials are renewed by botocore before they end, which may take a request to AWS.
    The first call needs botocore, and raises ImportError without it.
    """
    session = None

    def find() -> Credentials:
        nonlocal session
        if session is None:
            import botocore.session

            session = botocore.session.Session(profile=profile)
        found = session.get_credentials()
        if found is None:
            raise NoCredentialsError("AWS credentials are neither in the environment nor in a file")
        frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or "")

    return find
