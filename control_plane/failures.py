"""What an operation can fail with: the exceptions of the model, and those of every AWS service."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

CLUSTER_TYPE = "AWS::DSQL::Cluster"
SERVICE_CODE = "dsql"
CLUSTERS_QUOTA, STREAMS_QUOTA, TAGS_QUOTA, RATE_QUOTA = "clusters", "streams", "tags", "requests"
THROTTLE_SECONDS = 1


class ServiceError(Exception):
    """A refusal: the exception's name in the model, HTTP status and members."""

    def __init__(self, name: str, status: int, message: str, **members: Any) -> None:
        super().__init__(message)
        self.name = name
        self.status = status
        self.message = message
        self.members: dict[str, Any] = {"message": message, **members}


def invalid(
    message: str, reason: str = "other", fields: Sequence[tuple[str, str]] = ()
) -> ServiceError:
    """A request that cannot be carried out as it is; `fields` are names with what is wrong with them."""
    named = [{"name": name, "message": text} for name, text in fields]
    members = {"fieldList": named} if named else {}
    return ServiceError("ValidationException", 400, message, reason=reason, **members)


def not_found(message: str, resource: str, kind: str = CLUSTER_TYPE) -> ServiceError:
    """What is asked for is not there."""
    return ServiceError(
        "ResourceNotFoundException", 404, message, resourceId=resource, resourceType=kind
    )


def no_cluster(identifier: str) -> ServiceError:
    """There is no such cluster."""
    return not_found(f"Cluster '{identifier}' does not exist.", identifier)


def conflict(message: str, resource: str = "") -> ServiceError:
    """The resource is in a state in which this cannot be done."""
    named = {"resourceId": resource, "resourceType": CLUSTER_TYPE} if resource else {}
    return ServiceError("ConflictException", 409, message, **named)


def too_many(message: str, quota: str, resource: str = "") -> ServiceError:
    """A quota is used up."""
    return ServiceError(
        "ServiceQuotaExceededException",
        402,
        message,
        resourceId=resource,
        resourceType=CLUSTER_TYPE,
        serviceCode=SERVICE_CODE,
        quotaCode=quota,
    )


def throttled() -> ServiceError:
    """More requests than the key may send."""
    return ServiceError(
        "ThrottlingException",
        429,
        "Rate exceeded",
        serviceCode=SERVICE_CODE,
        quotaCode=RATE_QUOTA,
        retryAfterSeconds=THROTTLE_SECONDS,
    )


def denied(message: str) -> ServiceError:
    """The caller may not do this."""
    return ServiceError("AccessDeniedException", 403, message)


def unauthenticated(name: str, message: str) -> ServiceError:
    """The signature proves nothing. `name` is one of the exceptions that all AWS services have."""
    return ServiceError(name, 403, message)


def internal() -> ServiceError:
    """Our own fault."""
    return ServiceError(
        "InternalServerException",
        500,
        "Internal server error",
        retryAfterSeconds=THROTTLE_SECONDS,
    )


def too_slow() -> ServiceError:
    """A body that does not come."""
    return ServiceError("RequestTimeoutException", 408, "The body did not come in time")


def too_large(limit: int) -> ServiceError:
    """A body that nobody needs."""
    return ServiceError(
        "RequestEntityTooLargeException", 413, f"The body may have {limit} bytes at most"
    )
