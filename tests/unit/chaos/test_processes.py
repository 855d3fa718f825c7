from __future__ import annotations

import subprocess
import sys

from dsql.chaos.processes import query_processors_of

CLUSTER = "testnameabcdefghijklmnopqr"
PROGRAM = "from placement.kernel import set_name; set_name('dsql: testname'); print(); input()"


def test_a_query_processor_is_found_by_its_name_whoever_its_parent_is() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert query_processors_of(CLUSTER) == [process.pid]
        process.communicate(b"\n")
    assert query_processors_of(CLUSTER) == []
