"""Multi-version storage that follows the journal and answers reads at a timestamp."""
