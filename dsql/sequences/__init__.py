"""Sequences at work: their counters in the store, blocks of values, and what sessions keep of them."""
