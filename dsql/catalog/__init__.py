"""Schemas, tables and indexes as immutable values, their storage, and pg_catalog over them."""
