"""The control plane: the AWS API by which clusters are made, described, protected and deleted."""
