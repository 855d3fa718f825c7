"""PostgreSQL's own regression files, run here and on a real PostgreSQL beside each other."""
