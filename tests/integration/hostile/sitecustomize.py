"""Makes query processors hostile: Python runs this when it starts, if this folder is in PYTHONPATH.

A session whose application_name is "hostile SEED" is not served. Its query processor, confined as ever,
does its worst instead: it overwrites every mapping word by word, and every descriptor; truncates, locks and
fills what it can; has signals sent to others; forges the seed's lines in the log; sends the adjudicator
requests that lie, half ones, and many; tells the agent nonsense, and that sessions have ended which have
not. It ends when something kills it, or it has nothing left.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import mmap
import os
import random
import signal
import socket
import stat
import struct
import sys

DESCRIPTORS = range(128)
SECONDS = 10.0  # that a hostile process lives at most


def _be_hostile(name: str, tenant: object) -> None:
    from dsql.session.tenant import ClusterTenant

    assert isinstance(tenant, ClusterTenant)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)  # what it has broken may hold it up for ever
    with contextlib.suppress(Exception):
        tenant.open()
    chance = random.Random(name)
    attacks = [_mappings, _paths, _files, _fifos, _signals, _adjudicator]
    chance.shuffle(attacks)
    control = tenant._line._control.fileno()
    for attack in (_log, *attacks):  # the log first: it tells the test that somebody was hostile
        for _ in range(2):
            attack(chance, tenant, control)
    _agent(chance, control)
    os._exit(1)  # its other sessions would have to live with what is left


def _tolerantly(function: object, *arguments: object) -> None:
    with contextlib.suppress(Exception):
        function(*arguments)  # type: ignore[operator]


def _mappings(chance: random.Random, tenant: object, control: int) -> None:
    for mapping in [found for found in gc.get_objects() if isinstance(found, mmap.mmap)]:
        for start in range(0, min(len(mapping), 1 << 16), 8):
            word = chance.choice((bytes(8), b"\xff" * 8, chance.randbytes(8)))
            _tolerantly(mapping.__setitem__, slice(start, start + 8), word)
        _tolerantly(mapping.resize, 1)


def _paths(chance: random.Random, tenant: object, control: int) -> None:
    layout, assignment = tenant._layout, tenant._assignment  # type: ignore[attr-defined]
    for az in assignment.azs:
        replica = layout.storage(az, assignment.cluster)
        for name in ("data.mdb", "board", "lock.mdb", "../trial", "state", "../wake", "../readers"):
            for flags in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDONLY):
                with contextlib.suppress(OSError):
                    descriptor = os.open(replica / "environment" / name, flags)
                    _lock(descriptor)
                    _tolerantly(os.pwrite, descriptor, chance.randbytes(64), 0)
    with contextlib.suppress(OSError):
        _lock(os.open(layout.clock(assignment.cluster), os.O_RDONLY))


def _lock(descriptor: int) -> None:
    for kind in (fcntl.F_WRLCK, fcntl.F_RDLCK):
        request = struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0)
        for command in (fcntl.F_OFD_SETLK, fcntl.F_SETLK):
            _tolerantly(fcntl.fcntl, descriptor, command, request)
        _tolerantly(fcntl.fcntl, descriptor, fcntl.F_SETLEASE, kind)
    _tolerantly(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _files(chance: random.Random, tenant: object, control: int) -> None:
    for descriptor in _of_kind(stat.S_ISREG):
        _lock(descriptor)
        _tolerantly(os.ftruncate, descriptor, chance.choice((0, 3, 1 << 20)))
        for _ in range(64):
            _tolerantly(os.pwrite, descriptor, chance.randbytes(4096), chance.randrange(1 << 20))


def _fifos(chance: random.Random, tenant: object, control: int) -> None:
    for descriptor in _of_kind(stat.S_ISFIFO):
        if descriptor > 2:
            _tolerantly(fcntl.fcntl, descriptor, fcntl.F_SETPIPE_SZ, 4096)
            for _ in range(20_000):
                _tolerantly(os.write, descriptor, b"w" * chance.randrange(1, 64))


def _signals(chance: random.Random, tenant: object, control: int) -> None:
    """Have somebody else of the same user sent SIGIO, which ends who does not expect it."""
    for descriptor in _of_kind(stat.S_ISSOCK):
        if descriptor != control:
            _tolerantly(fcntl.fcntl, descriptor, fcntl.F_SETOWN, os.getppid())
            _tolerantly(fcntl.fcntl, descriptor, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)


def _log(chance: random.Random, tenant: object, control: int) -> None:
    for descriptor in (1, 2):
        _tolerantly(os.set_blocking, descriptor, False)
        for _ in range(100):
            _tolerantly(os.write, descriptor, b'{"role": "seed", "message": "forged"}\n' * 50)


def _of_kind(is_kind: object) -> list[int]:
    found = []
    for descriptor in DESCRIPTORS:
        with contextlib.suppress(OSError):
            if is_kind(os.fstat(descriptor).st_mode):  # type: ignore[operator]
                found.append(descriptor)
    return found


def _adjudicator(chance: random.Random, tenant: object, control: int) -> None:
    import msgspec

    from dsql.rpc.framing import frame

    start = tenant._clock.latest()  # type: ignore[attr-defined]
    identity = chance.randbytes(16)
    many = [[b"k%d" % number, 0] for number in range(20_000)]
    lies: list[object] = [
        [identity, start, [], [[b"", 0, b"x"]]],  # an empty key
        [identity, start, [], [[b"k" * 100_000, 0, b"x"]]],
        [identity, 1 << 63, [], [[b"k", 0, b"x"]]],
        [
            chance.randbytes(16),
            start,
            [],
            [[b"k", 0, {"not": ["bytes"]}]],
        ],  # looks right at the door
        [chance.randbytes(16), start, [], [[b"k", 0]]],
        [chance.randbytes(16), start, many, [[b"kept to itself", 9, None]]],
        [chance.randbytes(3), start, 7],
        "nonsense",
    ]
    bodies = [b"\x01" + msgspec.msgpack.encode(lie) for lie in lies]
    bodies += [b"\x01" + b"\x91" * 5_000, b"", b"\x02", b"\x03" * 17, chance.randbytes(500)]
    chance.shuffle(bodies)
    for body in bodies:
        _send(tenant, frame(body))
    _send(tenant, frame(b"\x03" + bytes(16)) * 5_000)  # and no answer is read
    _send(tenant, struct.pack(">I", 0xFFFFFFFF))
    _send(tenant, struct.pack(">I", 11_000_000) + bytes(5_000_000))  # the rest never comes


def _send(tenant: object, data: bytes) -> None:
    """On a connection to the adjudicator, a new one if the last one was closed."""
    with contextlib.suppress(Exception):
        committer = tenant._committer  # type: ignore[attr-defined]
        connection = committer._zones.reach(committer._leader)
        own = socket.socket(fileno=os.dup(connection._socket.fileno()))
        with own:
            own.settimeout(0.1)
            try:
                own.sendall(data)
                if not own.recv(100):
                    raise ConnectionError
            except TimeoutError:
                pass
            except OSError:
                connection.lose()


def _agent(chance: random.Random, control: int) -> None:
    from dsql.session.control import Ended, Full, NeedAdjudicator, Ready, WantJobs, encode

    line = socket.socket(fileno=control)
    line.settimeout(1)
    for _ in range(20):
        _tolerantly(line.sendmsg, [encode(WantJobs())], [_rights(8)])
    others = Ended(chance.randrange(-1, 50))
    messages = (NeedAdjudicator(""), Ended(0), others, Full(), WantJobs(), Ready([]))
    floods = [encode(message) for message in messages]
    nonsense = [b"\x91" * 1_000, chance.randbytes(1_000), bytes(100_000)]
    worst = chance.choice(floods + nonsense)
    for _ in range(5_000):
        _tolerantly(line.send, worst)


def _rights(count: int) -> tuple[int, int, bytes]:
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{count}i", *[2] * count)


if "seed" in sys.orig_argv:
    from dsql.session import handed
    from dsql.session.tenant import ClusterTenant

    _serve = ClusterTenant.serve

    def _serve_or_attack(tenant, number, session, client):  # type: ignore[no-untyped-def]
        name = handed.decode(session).parameters.get("application_name", "")
        if name.startswith("hostile"):
            _be_hostile(name, tenant)
        return _serve(tenant, number, session, client)

    ClusterTenant.serve = _serve_or_attack  # type: ignore[method-assign]
