"""The operations on tags: TagResource, UntagResource, ListTagsForResource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from control_plane.failures import TAGS_QUOTA, invalid, too_many
from control_plane.permissions import Caller, tag_context
from control_plane.plane import Answer, Plane

TAGS_MAX = 50  # of a resource, as everywhere in AWS
_RESERVED = "aws:"

Given = Mapping[str, Any]


def tag_resource(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Add tags to a cluster, or replace their values. Raises ServiceError."""
    known = plane.tagged(caller, "TagResource", given["resourceArn"])
    tags = given["tags"]
    plane.permissions.require(caller, "TagResource", known.identifier, known, tag_context(tags))
    resource = plane.registry.changeable(known.identifier)
    resource.tags |= tags
    check_tags(tags)
    if len(resource.tags) > TAGS_MAX:
        raise too_many("You have reached the tag limit.", TAGS_QUOTA, resource.identifier)
    plane.registry.save(resource)
    return {}


def untag_resource(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Remove tags from a cluster; those that it does not have do no harm. Raises ServiceError."""
    known = plane.tagged(caller, "UntagResource", given["resourceArn"])
    context = {"aws:tagkeys": tuple(given["tagKeys"])}
    plane.permissions.require(caller, "UntagResource", known.identifier, known, context)
    resource = plane.registry.changeable(known.identifier)
    check_tags(given["tagKeys"])
    for key in given["tagKeys"]:
        resource.tags.pop(key, None)
    plane.registry.save(resource)
    return {}


def list_tags_for_resource(plane: Plane, caller: Caller, given: Given) -> Answer:
    """Return a cluster's tags. Raises ServiceError."""
    resource = plane.tagged(caller, "ListTagsForResource", given["resourceArn"])
    return {"tags": dict(resource.tags)}


def check_tags(keys: Iterable[str]) -> None:
    """Raises ServiceError if there are too many of them, or AWS's own."""
    listed = list(keys)
    if len(listed) > TAGS_MAX:
        raise invalid(f"A resource can have at most {TAGS_MAX} tags.")
    for key in listed:
        if key.lower().startswith(_RESERVED):
            raise invalid(f"Tag keys that start with '{_RESERVED}' are reserved: {key}")
