"""Who may do what: privileges, access control lists, memberships. Pure."""
