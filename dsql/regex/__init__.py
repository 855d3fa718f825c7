"""PostgreSQL's regular expressions: their syntax, RE2 to match them, and bounded ways for the rest."""
