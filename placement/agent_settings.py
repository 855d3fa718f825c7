"""What an agent is told when it starts."""

from __future__ import annotations

import msgspec

from dsql.limits import PARK_SECONDS, PROCESS_MEMORY_BYTES_MAX
from placement.pool_settings import PoolSettings


class AgentSettings(msgspec.Struct, frozen=True):
    """Who this agent is and what it may hold. Each of a host's agents has a name and a seed of its own."""

    name: str = "agent"
    seed: str = "seed"
    az: str = ""
    sandbox: bool = True
    memory_bytes: int = PROCESS_MEMORY_BYTES_MAX
    park_seconds: float = PARK_SECONDS
    pool: PoolSettings = PoolSettings()
