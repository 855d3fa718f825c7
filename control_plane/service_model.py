"""The service as botocore's model describes it: operations, their routes, shapes and exceptions.

The model is the data from which boto3 and the AWS CLI make their clients (`botocore/data/dsql`), so that
what they can say is what is understood here, whatever version is installed.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape, StructureShape

from control_plane.failures import ServiceError, invalid
from dsql.client.signature import SERVICE


class Operation(NamedTuple):
    """One operation: its name, and the shapes of what it takes and answers."""

    name: str
    method: str
    segments: tuple[str, ...]
    takes: StructureShape | None
    answers: StructureShape | None

    @property
    def reads_only(self) -> bool:
        """Whether it changes nothing."""
        return self.name.startswith(("Get", "List"))


class Route(NamedTuple):
    """The operation that a request is for, and what its path holds."""

    operation: Operation
    labels: Mapping[str, str]


@functools.cache
def operations() -> tuple[Operation, ...]:
    """Return all operations of the service."""
    model = ServiceModel(Loader().load_service_model(SERVICE, "service-2"), SERVICE)
    return tuple(_operation(model.operation_model(name)) for name in model.operation_names)


def route(method: str, path: str) -> Route:
    """Return what a request of this method to this path (percent-encoded) is for.

    Raises ServiceError: a ValidationException with the reason unknownOperation.
    """
    segments = path.split("/")[1:]
    for operation in operations():
        labels = _labels(operation.segments, segments) if operation.method == method else None
        if labels is not None:
            return Route(operation, labels)
    raise _unknown(method, path)


def _operation(model: OperationModel) -> Operation:
    http = model.http
    segments = tuple(http["requestUri"].split("?")[0].split("/")[1:])
    return Operation(model.name, http["method"], segments, model.input_shape, model.output_shape)


def _labels(pattern: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(segments):
        return None
    labels = {}
    for expected, found in zip(pattern, segments, strict=True):
        if expected.startswith("{"):
            try:
                labels[expected[1:-1]] = unquote(found, errors="strict")
            except UnicodeDecodeError:
                raise invalid("The path is not UTF-8", "cannotParse") from None
        elif expected != found:
            return None
    return labels


def _unknown(method: str, path: str) -> ServiceError:
    return invalid(f"There is no operation {method} {path}", "unknownOperation")


__all__ = ["Operation", "Route", "Shape", "StructureShape", "operations", "route"]
