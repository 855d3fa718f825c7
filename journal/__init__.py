"""The replicated log that makes a commit durable."""
