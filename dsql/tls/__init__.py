"""The TLS 1.3 record layer that a query processor speaks on a connection handed over to it."""
