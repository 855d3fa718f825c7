"""All clusters as the control plane knows them, in memory; on disk first (`dsql.control.resources`).

For one thread at a time. Whoever changes a resource changes a copy and saves it: what could not be written
was not changed.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from control_plane.failures import conflict, no_cluster
from dsql.control.clusters import list_clusters
from dsql.control.layout import Layout
from dsql.control.resources import (
    DELETING,
    ClusterResource,
    of_record,
    read_resource,
    write_resource,
)

log = logging.getLogger(__name__)

_Place = tuple[float, str]  # when it was made, and its identifier: the order of lists


class Registry:
    """The clusters of one data directory."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._resources: dict[str, ClusterResource] = {}
        self._creations: dict[str, str] = {}  # the client's token to the identifier

    def load(self) -> None:
        """Read all that there is. A damaged resource is left out, and left alone. Raises OSError."""
        for record in list_clusters(self._layout):
            if not self._layout.resource(record.identifier).exists():
                write_resource(self._layout, of_record(record))
        for folder, deleted in ((self._layout.clusters, False), (self._layout.deleted, True)):
            for path in folder.glob("*/resource.json"):
                try:
                    resource = read_resource(self._layout, path.parent.name, deleted=deleted)
                except msgspec.DecodeError as error:
                    log.error("%s is damaged: %s", path, error)
                    continue
                if resource is not None:
                    self._keep(resource)

    def __len__(self) -> int:
        return len(self._resources)

    def __iter__(self) -> Iterator[ClusterResource]:
        """Yield all clusters."""
        yield from list(self._resources.values())

    def find(self, identifier: str) -> ClusterResource | None:
        """Return a cluster, None if there is none."""
        return self._resources.get(identifier)

    def get(self, identifier: str) -> ClusterResource:
        """Return a cluster. Raises ServiceError."""
        resource = self._resources.get(identifier)
        if resource is None:
            raise no_cluster(identifier)
        return resource

    def changeable(self, identifier: str) -> ClusterResource:
        """Return a copy of a cluster that is not on its way out, to be changed and saved.

        Raises ServiceError.
        """
        resource = self.get(identifier)
        if resource.status == DELETING:
            raise conflict(f"Cluster '{identifier}' is being deleted.", identifier)
        return replace(resource, tags=dict(resource.tags), tokens=list(resource.tokens))

    def created_by(self, token: str) -> ClusterResource | None:
        """Return the cluster that was made with a client's token."""
        return self._resources.get(self._creations.get(token, ""))

    def page(self, after: _Place | None, count: int) -> list[ClusterResource]:
        """Return up to `count` clusters, in the order of creation, behind a place."""
        places = sorted(map(place_of, self._resources.values()))
        start = 0 if after is None else bisect.bisect_right(places, after)
        return [self._resources[name] for _, name in places[start : start + count]]

    def save(self, resource: ClusterResource) -> None:
        """Write a new or changed cluster down, and know it so. Raises OSError."""
        write_resource(self._layout, resource)
        self._keep(resource)

    def forget(self, identifier: str) -> None:
        """A cluster is gone for good."""
        resource = self._resources.pop(identifier, None)
        for use in () if resource is None else resource.tokens:
            self._creations.pop(use.token, None)

    def _keep(self, resource: ClusterResource) -> None:
        self._resources[resource.identifier] = resource
        for use in resource.tokens:
            if use.operation == "CreateCluster":
                self._creations[use.token] = resource.identifier


def place_of(resource: ClusterResource) -> _Place:
    """Return a cluster's place in lists."""
    return resource.created_at, resource.identifier
