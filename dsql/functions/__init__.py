"""Operators, functions and aggregates: signatures, resolution and implementations."""
