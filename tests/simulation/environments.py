"""LMDB's environments, which all simulated processes share.

LMDB lets an environment be opened once per process, and all simulated processes are one. So who opens what
is open already gets the same environment, as processes share the pages of a file. A writer that is killed
leaves it as the page cache would.
"""

from __future__ import annotations

import contextlib
import weakref
from pathlib import Path
from typing import Any

import lmdb

from .world import running


class _Environment:
    """An opened LMDB environment as one simulated process has it."""

    def __init__(self, shared: _SharedEnvironment, *, readonly: bool) -> None:
        self.shared = shared
        self._readonly = readonly
        self._open = True
        self._transactions: weakref.WeakSet[Any] = weakref.WeakSet()
        thread = running()
        assert thread is not None
        thread.process.on_death.append(self._let_go)

    def begin(self, *arguments: Any, **options: Any) -> Any:
        return self.note(self.real.begin(*arguments, **options))

    def note(self, transaction: Any) -> Any:
        self._transactions.add(transaction)
        return transaction

    @property
    def real(self) -> Any:
        if not self._open:
            raise lmdb.Error("Attempt to operate on closed/deleted/dropped object.")
        return self.shared.environment

    def set_mapsize(self, size: int) -> None:
        if not self._readonly:
            self.real.set_mapsize(size)

    def close(self) -> None:
        self._let_go()

    def _let_go(self) -> None:
        if self._open:
            self._open = False
            for transaction in list(self._transactions):
                with contextlib.suppress(lmdb.Error):
                    transaction.abort()
            self.shared.leave()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class _SharedEnvironment:
    """An LMDB environment that simulated processes share."""

    def __init__(self, environment: Any, identity: tuple[int, int]) -> None:
        self.environment = environment
        self.users = 0
        self._identity = identity

    def leave(self) -> None:
        """One has closed it, or has died; the last one closes the file."""
        self.users -= 1
        if not self.users:
            self.environment.close()
            _environments.pop(self._identity, None)


_environments: dict[tuple[int, int], _SharedEnvironment] = {}


def _open_environment(path: str, **options: Any) -> Any:
    if running() is None:
        return _real_open_environment(path, **options)
    data = Path(path) / "data.mdb"
    readonly = options.get("readonly", False)
    shared = _environments.get(_identity(data)) if data.exists() else None
    if shared is None:
        if readonly:
            options = {
                "max_dbs": options["max_dbs"],
                "map_size": data.stat().st_size,
                "create": False,
                "sync": False,
                "metasync": False,
                "writemap": True,
                "max_readers": 512,
            }
        environment = _real_open_environment(path, **options)
        shared = _SharedEnvironment(environment, _identity(data))
        _environments[_identity(data)] = shared
    elif not readonly and shared.environment.info()["map_size"] < options["map_size"]:
        shared.environment.set_mapsize(options["map_size"])
    shared.users += 1
    return _Environment(shared, readonly=readonly)


def close_environments() -> None:
    """The world is over."""
    while _environments:
        _environments.popitem()[1].environment.close()


def _begin_transaction(environment: Any, *arguments: Any, **options: Any) -> Any:
    if isinstance(environment, _Environment):
        return environment.note(_real_transaction(environment.real, *arguments, **options))
    return _real_transaction(environment, *arguments, **options)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


_real_open_environment, _real_transaction = lmdb.open, lmdb.Transaction

REPLACED: list[tuple[Any, str, Any]] = [
    (lmdb, "open", _open_environment),
    (lmdb, "Transaction", _begin_transaction),
]
