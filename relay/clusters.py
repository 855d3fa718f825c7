"""What the relay knows of clusters: record and TLS context, read from the data directory when needed.

An entry is looked at again after a few seconds, so that a renewed certificate or a changed record is
noticed without a restart; a cluster's resource, which has its tags and its policy, with every login, so
that what was taken away is refused at once. The least recently used entries go when there are many.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from OpenSSL import SSL

from dsql.control.clusters import cluster_arn
from dsql.control.layout import ClusterRecord, Layout
from dsql.control.resources import ClusterResource, read_resource, resource_policy
from relay.iam_token import Target

_log = logging.getLogger(__name__)

ENTRIES_MAX = 2_000
RECHECK_SECONDS = 5.0

MakeContext = Callable[[Path, Path], SSL.Context]
Version = tuple[int, ...]


class Cluster(NamedTuple):
    """A cluster as the front door needs it."""

    record: ClusterRecord
    context: SSL.Context
    target: Target


class _Entry(NamedTuple):
    cluster: Cluster
    version: Version
    resource: Version
    checked_at: float


class ClusterDirectory:
    """Clusters by identifier. `make_context` turns a certificate's and a key's path into a context."""

    def __init__(
        self,
        layout: Layout,
        make_context: MakeContext,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._layout = layout
        self._make_context = make_context
        self._monotonic = monotonic
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def find(self, identifier: str) -> Cluster | None:
        """Return a cluster, None if there is none with this identifier."""
        entry = self._entries.get(identifier)
        now = self._monotonic()
        if (
            entry is None
            or now - entry.checked_at > RECHECK_SECONDS
            or self._resource_version(identifier) != entry.resource
        ):
            return self._look(identifier, entry, now)
        self._entries.move_to_end(identifier)
        return entry.cluster

    def _look(self, identifier: str, known: _Entry | None, now: float) -> Cluster | None:
        resource = self._resource_version(identifier)  # before it is read: it may change meanwhile
        record = self._layout.read_cluster(identifier)
        state = read_resource(self._layout, identifier) if record is not None else None
        if record is None or (state is not None and not state.is_served):
            self._entries.pop(identifier, None)
            return None
        version = self._version(identifier)
        if known is not None and version == known.version and resource == known.resource:
            cluster = known.cluster
        else:
            cluster = self._load(record, state, known)
        self._entries[identifier] = _Entry(cluster, version, resource, now)
        self._entries.move_to_end(identifier)
        if len(self._entries) > ENTRIES_MAX:
            self._entries.popitem(last=False)
        return cluster

    def _load(
        self, record: ClusterRecord, resource: ClusterResource | None, known: _Entry | None
    ) -> Cluster:
        """Read the certificate; one that is just being replaced leaves the known context in use."""
        layout, identifier = self._layout, record.identifier
        tags = {} if resource is None else resource.tags
        policy = resource_policy(resource)
        target = Target(record.endpoint, record.region, cluster_arn(record), tags, policy)
        try:
            context = self._make_context(layout.certificate(identifier), layout.key(identifier))
        except (SSL.Error, OSError) as error:
            if known is None:
                raise
            _log.warning("certificate of cluster %s not reloaded: %s", identifier, error)
            context = known.cluster.context
        return Cluster(record, context, target)

    def _version(self, identifier: str) -> Version:
        """Return what changes when one of the cluster's files is replaced."""
        layout = self._layout
        paths = (layout.record(identifier), layout.certificate(identifier), layout.key(identifier))
        statuses = [path.stat() for path in paths]
        return tuple(number for s in statuses for number in (s.st_ino, s.st_mtime_ns))

    def _resource_version(self, identifier: str) -> Version:
        try:
            status = self._layout.resource(identifier).stat()
        except FileNotFoundError:
            return ()
        return status.st_ino, status.st_mtime_ns
