"""Faults on purpose: what is done to a running cluster, and how long its clients then wait."""
