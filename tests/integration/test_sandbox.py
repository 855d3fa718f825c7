from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import psycopg
import pytest
from running_cluster import RunningCluster

from dsql.chaos.processes import query_processors_of
from dsql.rpc.boot import current_boot
from storage.environment import ENVIRONMENT, WritableEnvironment
from storage.reader_slot import ReaderSlots

from .conftest import Host
from .placement_host import add_cluster


async def test_query_processor_reads_only_its_own_clusters_files(host: Host) -> None:
    own, other = add_cluster(host.layout, "a"), add_cluster(host.layout, "b")
    client = await host.open(own)
    assert await client.ask(f"open('az1/{own}/storage/environment/data.mdb').read()") == "rows"
    assert "PermissionError" in await client.ask(
        f"open('az1/{other}/storage/environment/data.mdb').read()"
    )
    assert "PermissionError" in await client.ask(f"os.listdir('az1/{other}')")
    assert "PermissionError" in await client.ask("open('/etc/passwd').read()")


@pytest.mark.parametrize("name", ["lock.mdb", "../trial", "state"])
async def test_query_processor_cannot_open_what_only_the_writer_opens(
    host: Host, name: str
) -> None:
    own = add_cluster(host.layout, "a")
    client = await host.open(own)
    path = f"az1/{own}/storage/environment/{name}"
    assert "PermissionError" in await client.ask(f"open('{path}').read()")
    assert "PermissionError" in await client.ask(f"open('{path}', 'r+')")


async def test_query_processor_opens_nothing_for_writing(host: Host) -> None:
    own = add_cluster(host.layout, "a")
    client = await host.open(own)
    for path in ("environment/data.mdb", "environment/board", "environment/new", "new", "wake"):
        answer = await client.ask(f"os.open('az1/{own}/storage/{path}', os.O_WRONLY | os.O_CREAT)")
        assert "PermissionError" in answer, path
    assert "PermissionError" in await client.ask(
        f"os.listdir('az1/{own}/storage/readers') and open('/tmp/dsql-escape', 'w')"
    )


async def test_query_processor_shows_itself_in_a_slot_of_its_own(host: Host) -> None:
    own = add_cluster(host.layout, "a")
    first, second = await host.open(own), await host.open(own)
    for client, timestamp in ((first, 7), (second, 8)):
        await client.ask(f"tenant.slots[0].words.__setitem__(0, {timestamp})")
    slots = ReaderSlots(host.layout.storage("az1", own))
    assert sorted(slots.reading().values()) == [7, 8]
    for path in (host.layout.storage("az1", own) / "readers").iterdir():
        assert "PermissionError" in await first.ask(f"open('{path}', 'r+')")
    slots.close()


@pytest.mark.parametrize(
    "attempt",
    [
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "os.execv('/bin/true', ['true'])",
        "subprocess.run(['/bin/true'])",
        "os.fork()",
        "__import__('threading').Thread(target=print).start()",
        "os.kill(os.getppid(), 0)",
        "os.setuid(0)",
        "os.setresuid(0, 0, 0)",
        "os.setgroups([0])",
        "fcntl.fcntl(tenant.line._control, fcntl.F_SETOWN, os.getppid())",
    ],
)
async def test_query_processor_cannot_reach_out(host: Host, attempt: str) -> None:
    client = await host.open(add_cluster(host.layout, "a"))
    answer = await client.ask(attempt)
    assert "PermissionError" in answer or "can't start new thread" in answer


async def test_query_processor_has_one_thread_besides_its_first(host: Host) -> None:
    client = await host.open(add_cluster(host.layout, "a"))
    names = "[thread.name for thread in __import__('threading').enumerate()]"
    assert await client.ask(names) == "['MainThread', 'parser']"
    large = "len(gate.parse_script('select ' + 'a,' * 50000 + 'a'))"
    assert await client.ask(large) == "1"


@pytest.mark.parametrize("number", ["56", "317", "101", "165", "304", "321", "425", "272", "157"])
async def test_forbidden_system_calls_fail_with_eperm(host: Host, number: str) -> None:
    """clone, seccomp, ptrace, mount, open_by_handle_at, bpf, io_uring_setup, unshare, prctl on x86-64."""
    client = await host.open(add_cluster(host.layout, "a"))
    call = f"(ctypes.CDLL(None, use_errno=True).syscall({number}, 0, 0, 0), ctypes.get_errno())"
    assert await client.ask(call) == "(-1, 1)"


async def test_confined_query_processor_reads_a_replica_and_shows_itself_to_its_writer(
    host: Host,
) -> None:
    own = add_cluster(host.layout, "a")
    replica = host.layout.storage("az1", own)
    (replica / ENVIRONMENT / "data.mdb").unlink()
    writer = WritableEnvironment(replica / ENVIRONMENT, current_boot())
    client = await host.open(own)
    opened = f"(reader := LocalReplica([Path('{replica}')], tenant.slots))"
    read = f"{opened}.watermark, reader.snapshot(0).get(b'k')"
    assert await client.ask(read) == "(0, None)"
    writer.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="without root, the files are named at assignment")
async def test_replica_made_anew_can_be_read_soon(host: Host) -> None:
    own = add_cluster(host.layout, "a")
    client = await host.open(own)
    replica = host.layout.storage("az1", own)
    shutil.rmtree(replica / ENVIRONMENT)
    writer = WritableEnvironment(replica / ENVIRONMENT, current_boot())
    await asyncio.sleep(1)  # the agent looks twice a second
    assert await client.ask(f"LocalReplica([Path('{replica}')], tenant.slots).watermark") == "0"
    writer.close()


def test_regular_expressions_of_both_matchers_work_in_a_confined_process(
    cluster: RunningCluster,
) -> None:
    query = r"select regexp_replace('abab', %s, '<\&>')"
    with psycopg.connect(**cluster.dsn(), autocommit=True) as connection:
        processes = query_processors_of(cluster.variables["DSQL_CLUSTER"])
        states = [Path(f"/proc/{process}/status").read_text() for process in processes]
        assert states
        assert all("\nSeccomp:\t2\n" in state for state in states)
        for pattern in ("(?:ab)+", r"(?:(ab)\1)", "ab(?=a)ab"):  # only the first one is RE2's
            assert connection.execute(query, [pattern]).fetchone() == ("<abab>",), pattern
