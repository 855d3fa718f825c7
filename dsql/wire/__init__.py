"""The PostgreSQL wire protocol as bytes in, messages out; free of I/O."""
