"""The local control plane: clusters, certificates and access keys."""
