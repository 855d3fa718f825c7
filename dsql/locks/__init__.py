"""Advisory locks: held by sessions of the whole cluster, as rows outside of all tables."""
