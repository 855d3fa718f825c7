"""Opening a replica once before the forks, so that no query processor has to import or learn how."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

from dsql.rpc.boot import current_boot
from storage.environment import ENVIRONMENT, WritableEnvironment
from storage.local_replica import LocalReplica

logger = logging.getLogger(__name__)


def warm_up() -> None:
    """Make a small replica, read it as a query processor does, and remove it. Nothing stays open."""
    try:
        with TemporaryDirectory(prefix="dsql-") as directory:
            WritableEnvironment(Path(directory) / ENVIRONMENT, current_boot()).close()
            replica = LocalReplica([Path(directory)], deadline_seconds=0)
            replica.snapshot(0).get(b"a")
            replica.close()
    except OSError as error:  # a query processor then is slower to start, nothing more
        logger.warning("not warmed up", extra={"reason": str(error)})
