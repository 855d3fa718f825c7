"""Optimistic concurrency control: decides which transactions commit, and in which order."""
