"""What the kernel is told of a process."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_process_that_steps_back_is_nicer_than_its_parent() -> None:
    program = "import os; from placement.kernel import step_back; step_back(3); print(os.nice(0))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == min(os.nice(0) + 3, 19)
