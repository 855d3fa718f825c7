"""How SQL values become ordered keys and row values in storage."""
