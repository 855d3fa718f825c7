"""The client kit: connections, pools and transactions of programs that use a cluster, by driver.

`dsql.client.asyncpg`, `dsql.client.psycopg` and `dsql.client.sqlalchemy` need their driver, botocore where
credentials are to be found, and nothing of the server.
"""
