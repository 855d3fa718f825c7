"""One client session: its statements, portals, settings and transaction block."""
