"""AWS policy documents: reading them, and deciding by them who may do what. Pure."""
