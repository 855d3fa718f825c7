"""The operations of STS: AssumeRole and GetCallerIdentity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from control_plane.failures import ServiceError, invalid
from control_plane.permissions import Caller
from control_plane.plane import Answer, Plane
from dsql.control.identities import SESSION_SECONDS, Role
from dsql.iam.document import MalformedPolicyError, parse_identity_policy, read_document
from dsql.iam.request import account_of

SESSION_POLICY_CHARACTERS_MAX = 2_048
CHAINED_SECONDS_MAX = 3_600

Given = Mapping[str, Any]


def get_caller_identity(plane: Plane, caller: Caller, given: Given) -> Answer:  # noqa: ARG001 - nothing
    """Tell who has signed the request. Nobody can be denied that."""
    principal = caller.key.principal
    return {
        "UserId": plane.permissions.identifier(principal),
        "Account": account_of(principal),
        "Arn": principal,
    }


def assume_role(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Begin a session of a role that trusts the caller. Raises ServiceError."""
    context = {"sts:rolesessionname": (given["RoleSessionName"],)}
    if "ExternalId" in given:
        context["sts:externalid"] = (given["ExternalId"],)
    role = plane.permissions.require_trust(caller, given["RoleArn"], context)
    policy = _session_policy(given.get("Policy", ""))
    seconds = _seconds(role, caller, given)
    session = plane.permissions.begin_session(
        caller, role, given["RoleSessionName"], seconds, policy
    )
    answer: Answer = {
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "SessionToken": session.session_token,
            "Expiration": session.expires_at,
        },
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role.identifier}:{given['RoleSessionName']}",
            "Arn": session.principal,
        },
    }
    if policy:
        answer["PackedPolicySize"] = 100 * len(policy) // SESSION_POLICY_CHARACTERS_MAX
    return answer


def _seconds(role: Role, caller: Caller, given: Given) -> int:
    """Return how long the session lasts."""
    seconds: int = given.get("DurationSeconds", SESSION_SECONDS)
    if caller.key.session_token and seconds > CHAINED_SECONDS_MAX:
        raise invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
            "role chaining"
        )
    if seconds > role.session_seconds_max:
        text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise invalid(text)
    return seconds


def _session_policy(text: str) -> str:
    if len(text) > SESSION_POLICY_CHARACTERS_MAX:
        raise ServiceError("PackedPolicyTooLarge", 400, "The session policy is too large.")
    try:
        if text:
            parse_identity_policy(read_document(text))
    except MalformedPolicyError as error:
        raise ServiceError("MalformedPolicyDocument", 400, str(error)) from None
    return text
