"""The dsql command."""
