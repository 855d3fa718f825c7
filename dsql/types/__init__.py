"""SQL types: OIDs, text and binary formats, casts."""
