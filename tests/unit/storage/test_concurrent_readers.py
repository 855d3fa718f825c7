"""Readers in their own processes, a writer without pause, garbage collection: every snapshot adds up."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from storage.applier import Applier
from storage.environment import WritableEnvironment

ACCOUNTS, BALANCE = 2_000, 100
_SECONDS = 1.5

_READER = """
import sys, time
from pathlib import Path
from dsql.errors import SqlError
from storage.client import LocalReplica

local = LocalReplica([Path(sys.argv[1])])
end = time.monotonic() + float(sys.argv[2])
snapshots = too_old = 0
while time.monotonic() < end:
    snapshot = local.snapshot(local.watermark)
    try:
        for pause in (0.0, 0.0, 0.02):
            rows = list(snapshot.scan(b"a", b"b", reverse=bool(snapshots % 2)))
            total = sum(int(value) for _, value in rows)
            assert total == int(sys.argv[3]), (snapshot.timestamp, total)
            assert all(snapshot.get(key) == value for key, value in rows[::97])
            time.sleep(pause)
        snapshots += 1
    except SqlError:
        too_old += 1
    local.release()
print(snapshots, too_old)
"""


def test_every_snapshot_adds_up_while_money_moves(make_replica: Callable[..., Any]) -> None:
    replica = make_replica()
    environment: WritableEnvironment = replica.environment
    replica.applier = Applier(environment, time.monotonic, grace_seconds=0.02)
    environment.pages._monotonic = time.monotonic
    balances = dict.fromkeys((b"a%05d" % number for number in range(ACCOUNTS)), BALANCE)
    replica.apply([(key, b"%d" % value) for key, value in balances.items()])
    total = ACCOUNTS * BALANCE
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", _READER, str(replica.directory), str(_SECONDS), str(total)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    chance = random.Random(1)
    names = list(balances)
    while any(reader.poll() is None for reader in readers):
        replica.growing(lambda: replica.applier.collect(5))
        payer, payee = chance.sample(names, 2)
        amount = chance.randint(1, 50)
        balances[payer] -= amount
        balances[payee] += amount
        # Accounts without money do not exist.
        replica.apply(
            [(key, b"%d" % balances[key] if balances[key] else None) for key in (payer, payee)]
        )
    for reader in readers:
        output, _ = reader.communicate()
        assert reader.returncode == 0
        snapshots, too_old = map(int, output.split())
        assert snapshots > 3
        assert too_old <= snapshots
    deadline = time.monotonic() + 10
    while replica.applier.collect(10_000):
        assert time.monotonic() < deadline, "nobody reads, and yet old versions stay"
        time.sleep(0.01)
    assert replica.count("undo") == 0
