"""Every quota of the server, named once, in the units of its name.

Sources: Aurora DSQL's quotas page and recorded behaviour. Profiles lift some of
them; what the architecture forces (frame and key sizes) holds everywhere.
"""

from __future__ import annotations

ROWS_PER_TRANSACTION_MAX = 3_000
TRANSACTION_BYTES_MAX = 10 * 1024 * 1024
LOCAL_BYTES_MAX = 64 * 1024 * 1024  # which a transaction may write to temporary tables besides
TRANSACTION_AGE_SECONDS_MAX = 300
WIRE_MESSAGE_BYTES_MAX = 10 * 1024 * 1024
STARTUP_PACKET_BYTES_MAX = 10_000  # PostgreSQL's MAX_STARTUP_PACKET_LENGTH
PASSWORD_BYTES_MAX = 16_384
KEY_BYTES_MAX = 1_981
KEY_COLUMNS_MAX = 8  # in the dsql profile
INDEX_COLUMNS_MAX = 32  # in the postgres profile, as in PostgreSQL
TARGETS_MAX = 1_664  # PostgreSQL's MaxTupleAttributeNumber
ARGUMENTS_MAX = 100  # of a function: PostgreSQL's FUNC_MAX_ARGS
COLUMNS_PER_TABLE_MAX = 256
INDEXES_PER_TABLE_MAX = 24
ROW_BYTES_MAX = 2 * 1024 * 1024
VALUE_BYTES_MAX = 1024 * 1024
# what a function or operator may return: copying it once, which no interrupt can cut, takes some 50 ms
MADE_VALUE_BYTES_MAX = 64 * 1024 * 1024
JSON_CHARACTERS_MAX = 10 * 1024 * 1024  # a text that is taken apart: its parts take many times that
# for sorting, hashing and materialising in one statement: in memory, and once more in temporary space
QUERY_MEMORY_BYTES_MAX = 128 * 1024 * 1024
WORK_MEMORY_BYTES = 32 * 1024 * 1024  # what one sort or hash table of these may hold in memory
STATEMENT_MEMORY_BYTES_MAX = 256 * 1024 * 1024  # the same of a statement in the postgres profile
# What a query processor may hold, whatever the statements of its many sessions do. Each has an account of
# its own; this stands behind what escapes those. If more are at their limits at once than there is room
# for, the next allocation fails, and with it the statement that asked for it.
PROCESS_MEMORY_BYTES_MAX = 2 * 1024 * 1024 * 1024
# at once, that a query processor has memory and temporary space for; the first besides values in the making
STATEMENTS_AT_THEIR_LIMIT = 4
SESSIONS_PER_PROCESS_MAX = 1_000
FOLDED_BYTES_MAX = 64 * 1024  # a constant that a plan holds instead of its expression
PLANS_BYTES_MAX = 96 * 1024 * 1024  # what a query processor remembers of statements
PLAN_BYTES_PER_CHARACTER = (
    130  # tree, plan and code of a statement, by the length of its text; measured
)
PREPARED_CHARACTERS_MAX = 1024 * 1024  # the texts of one session's named prepared statements
TEMPORARY_BYTES_MAX = (
    1024 * 1024 * 1024
)  # what all statements of one session keep in temporary space
CHAR_BYTES_MAX = 4_096
VARCHAR_BYTES_MAX = 65_535
TABLES_MAX = 1_000
VIEWS_MAX = 5_000
VIEW_BYTES_MAX = 512 * 1024  # of the text that is kept of a view's query
SEQUENCES_MAX = 5_000
SCHEMAS_MAX = 10
CONNECTIONS_MAX = 10_000
CONNECTION_RATE_PER_SECOND = 100
PARKED_BYTES_PER_CLUSTER_MAX = 64 * 1024 * 1024  # records that an agent keeps of silent sessions
PARK_SECONDS = 1.0  # how long a session is silent before it gives its place in a process up
CONNECTION_BURST = 1_000
CLUSTERS_MAX = 20  # of an installation, as DSQL's quota of single-Region clusters
CONNECTION_SECONDS_MAX = 3_600
# of one relay, before a password is verified; many clients may share one address
OPEN_LOGINS_MAX = 8_192
OPEN_LOGINS_PER_ADDRESS_MAX = 4_096
CANCEL_RATE_PER_SECOND = 100
CANCEL_BURST = 1_000
TOKEN_SECONDS_MAX = 604_800
NOTIFY_PAYLOAD_BYTES_MAX = 7_999  # less than PostgreSQL's NOTIFY_PAYLOAD_MAX_LENGTH
HEARD_BYTES_MAX = 4 * 1024 * 1024  # notifications that wait for a session's client to take them
IDENTIFIER_BYTES_MAX = 63  # PostgreSQL's NAMEDATALEN - 1; longer names are cut with a notice
NUMERIC_PRECISION_MAX = 1_000
JOURNAL_RECORD_BYTES_MAX = TRANSACTION_BYTES_MAX + 1024 * 1024

assert (
    STATEMENTS_AT_THEIR_LIMIT * STATEMENT_MEMORY_BYTES_MAX + 4 * MADE_VALUE_BYTES_MAX
    < PROCESS_MEMORY_BYTES_MAX
), "statements meet their own limits before their process does"
assert WIRE_MESSAGE_BYTES_MAX >= ROW_BYTES_MAX, "a row must fit into one message"
assert ROW_BYTES_MAX > VALUE_BYTES_MAX, "one column must never fill a row"
assert JOURNAL_RECORD_BYTES_MAX > TRANSACTION_BYTES_MAX, "a transaction is one journal record"


def truncate_identifier(name: str) -> str:
    """Cut a name to what an identifier may have, never inside a character."""
    data = name.encode()
    if len(data) <= IDENTIFIER_BYTES_MAX:
        return name
    return data[:IDENTIFIER_BYTES_MAX].decode(errors="ignore")


# How deep calls of functions in LANGUAGE SQL may nest: some 10 Python frames each.
FUNCTION_DEPTH_MAX = 400
