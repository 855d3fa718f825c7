from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from direct_service import Service

from dsql.control.layout import Layout


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(Layout(tmp_path))


@pytest.fixture
def dsql(service: Service) -> Any:
    return service.client()


@pytest.fixture
def refused() -> Callable[..., Any]:
    """Call something that is refused; return boto3's answer."""

    def call(name: str, operation: Callable[..., Any], **given: Any) -> Any:
        client = operation.__self__  # type: ignore[attr-defined]
        with pytest.raises(client.exceptions.ClientError) as caught:
            operation(**given)
        assert caught.value.response["Error"]["Code"] == name, caught.value
        return caught.value.response

    return call
