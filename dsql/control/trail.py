"""What audit lines have in common, with the names of CloudTrail's records.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any, NamedTuple

from dsql.iam.request import account_of, mapped_identity

VERSION = "1.11"


class EventKind(NamedTuple):
    """What CloudTrail calls a kind of events: the service they come from, and their type."""

    source: str
    type_name: str


CONNECTION_SOURCE = "dsql.amazonaws.com"  # of what relays record
API_CALL = EventKind(CONNECTION_SOURCE, "AwsApiCall")
STS_CALL = EventKind("sts.amazonaws.com", "AwsApiCall")
SIGN_IN = EventKind("signin.amazonaws.com", "AwsConsoleSignIn")


def event(
    kind: EventKind, name: str, now: float, region: str, account: str, address: str
) -> dict[str, Any]:
    """Return the fields of a request at `now` (seconds since 1970), from an IP address."""
    return {
        "eventVersion": VERSION,
        "eventTime": datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(),
        "eventSource": kind.source,
        "eventName": name,
        "eventType": kind.type_name,
        "eventCategory": "Management",
        "managementEvent": True,
        "eventID": str(uuid.uuid4()),
        "awsRegion": region,
        "sourceIPAddress": address,
        "recipientAccountId": account,
    }


def identity(principal: str, access_key_id: str) -> dict[str, Any]:
    """Return `userIdentity`: who it was, and of a session which role."""
    role = mapped_identity(principal)
    found: dict[str, Any] = {
        "type": "IAMUser" if role == principal else "AssumedRole",
        "arn": principal,
        "accountId": account_of(principal),
        "accessKeyId": access_key_id,
    }
    if role == principal:
        return found | {"userName": principal.rpartition("/")[2]}
    issuer = {"type": "Role", "arn": role, "userName": role.rpartition("/")[2]}
    return found | {"sessionContext": {"sessionIssuer": issuer}}
