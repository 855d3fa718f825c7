"""The front door: TLS, SNI, tokens, and the hand-off of an authenticated connection."""
