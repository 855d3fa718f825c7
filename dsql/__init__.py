"""The shared core of the server: wire protocol, SQL, query processor, client kit and command line."""
