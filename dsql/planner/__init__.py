"""From a bound statement to a plan."""
