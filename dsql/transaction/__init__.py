"""One transaction: its snapshot, its write buffer and its commit."""
