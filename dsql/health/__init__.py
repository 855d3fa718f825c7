"""How an installation is: what its roles say, what that means, and what to do."""
