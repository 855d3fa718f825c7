"""What a command needs to connect to a cluster of a data directory: which one, and a token."""

from __future__ import annotations

import time

from dsql.cli.environment_file import Access, make_access
from dsql.cli.errors import CommandError
from dsql.cli.identity import reporting
from dsql.client.auth_token import Credentials, generate_auth_token
from dsql.control.access_keys import AccessKeyStore
from dsql.control.identities import SESSION_SECONDS_MAX, Role, owner_arn
from dsql.control.layout import ClusterRecord, Layout
from dsql.control.running import control_address, relay_address

_SESSION = "dsql-env"


def choose_cluster(layout: Layout, identifier: str) -> ClusterRecord:
    """Return the cluster with this identifier, or the only one if it is empty. Raises CommandError."""
    if not identifier:
        known = layout.cluster_identifiers()
        if not known:
            raise CommandError(f"there is no cluster in {layout.root}; start one with `dsql up`")
        if len(known) > 1:
            raise CommandError(f"there are several clusters, name one: {', '.join(known)}", 2)
        identifier = known[0]
    record = layout.read_cluster(identifier)
    if record is None:
        raise CommandError(f"there is no cluster {identifier!r} in {layout.root}")
    return record


def make_token(layout: Layout, record: ClusterRecord, user: str, expires_in: int) -> str:
    """Return a token for `user`, signed with the installation's first active key."""
    credentials = first_credentials(layout)
    return generate_auth_token(user, record.endpoint, record.region, credentials, expires_in)


def open_access(
    layout: Layout, record: ClusterRecord, user: str, expires_in: int, role: str = ""
) -> Access:
    """Return all that a client of this host needs, with a token for `user`. Raises CommandError.

    `role` is the name of the one whose session it is to have, "" for the installation's first key.
    """
    authority = layout.ca_certificate.absolute()
    credentials = (
        role_credentials(layout, record, role, expires_in) if role else first_credentials(layout)
    )
    listen, api = relay_address(layout), control_address(layout)
    return make_access(
        record,
        listen,
        authority,
        credentials,
        api="" if api is None else api[0],
        user=user,
        expires_in=expires_in,
    )


def role_credentials(layout: Layout, record: ClusterRecord, name: str, seconds: int) -> Credentials:
    """Return credentials of a new session of a role. Raises CommandError."""
    with reporting():
        store = AccessKeyStore(layout.access_keys)
        role = store.identities().owner(owner_arn(record.account, "role", name))
        assert isinstance(role, Role), "its ARN is one of a role"
        seconds = min(seconds, SESSION_SECONDS_MAX)
        key = store.begin_session(role, _SESSION, time.time(), seconds, "")
    return Credentials(key.access_key_id, key.secret_access_key, key.session_token)


def first_credentials(layout: Layout) -> Credentials:
    """Return the installation's first active key. Raises CommandError."""
    try:
        keys = AccessKeyStore(layout.access_keys).keys()
    except PermissionError:
        raise CommandError(f"{layout.access_keys} belongs to another user") from None
    key = next((key for key in keys if key.active), None)
    if key is None:
        raise CommandError(f"there is no active access key in {layout.access_keys}")
    return Credentials(key.access_key_id, key.secret_access_key, key.session_token)
