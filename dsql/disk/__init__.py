"""Files as the rooms see them that must not lose what they were told to keep."""
