"""The language of jsonpath: its tree, reader and writer, and the type."""
