"""From a plan to generated Python that produces rows."""
