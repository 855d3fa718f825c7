"""A shop, for whoever wants to see the server at work: sample data, and clients that buy."""
