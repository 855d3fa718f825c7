"""The console: a page in a browser for clusters, queries and what happens, served beside the API."""
