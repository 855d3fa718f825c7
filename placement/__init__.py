"""Query processors: placement service, host agent, seed process, warm pool and sandbox."""
