"""Taking a cluster away for good, in steps that can each be done again.

withdraw    its folder is moved: from then on nobody finds it, and those who have it let it go
erase       once they have: its replicas' folders, then what was moved, the resource last
"""

from __future__ import annotations

from dsql.control.atomic_file import sync
from dsql.control.layout import Layout


def withdraw_cluster(layout: Layout, identifier: str) -> None:
    """Move a cluster's folder to where those of deleted clusters are. Raises OSError."""
    folder = layout.cluster(identifier)
    if not folder.exists():
        return
    layout.deleted.mkdir(exist_ok=True)
    folder.rename(layout.deleted / identifier)
    sync(layout.deleted)
    sync(layout.clusters)


def erase_cluster(layout: Layout, identifier: str) -> None:
    """Remove what is left of a cluster that was withdrawn and that nobody has open. Raises OSError."""
    files = layout.files
    for path in layout.replicas(identifier):
        files.remove_tree(path)
    folder = layout.deleted / identifier
    kept = layout.deleted_resource(identifier)
    for path in folder.iterdir() if folder.exists() else ():
        if path != kept:
            path.unlink()
    kept.unlink(missing_ok=True)
    if folder.exists():
        folder.rmdir()
        sync(layout.deleted)
