"""Framed messages between the roles of one cluster over Unix sockets."""
