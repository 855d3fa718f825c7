"""Evaluation of jsonpath."""
