"""What Aurora DSQL has beyond PostgreSQL's grammar, taken out by token before libpg_query looks.

Spaces stand in its place, so that every position stays what the client sees:

    CREATE [UNIQUE] INDEX ASYNC ...               -> the index node, `asynchronous` set
    ALTER TABLE ASYNC t VALIDATE CONSTRAINT c     -> the alter node, `asynchronous` set
    AWS IAM GRANT role TO 'arn' | REVOKE ... FROM -> an `IamGrant`
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsql.errors import SqlError, syntax_error
from dsql.sql.libpg_query import grammar, parse, scan

_ADDITION = re.compile(r"\basync\b|\baws\s", re.IGNORECASE)
_ADDITION_CHARACTERS = len("async ")
_PIECE_CHARACTERS = 1024 * 1024  # of one step of it


@dataclass(frozen=True, slots=True)
class IamGrant:
    """AWS IAM GRANT role TO 'arn', or REVOKE role FROM 'arn'."""

    role: str
    arn: str
    revoke: bool


def has_additions(text: str) -> bool:
    """Tell whether a text may have any."""
    return any(
        _ADDITION.search(text, start, start + _PIECE_CHARACTERS + _ADDITION_CHARACTERS)
        for start in range(0, len(text), _PIECE_CHARACTERS)
    )


def take_out_additions(
    text: str, script: bytes
) -> tuple[str, list[int], list[tuple[int, int, IamGrant]]]:
    """Blank DSQL's own syntax; return the text, the places of ASYNC and the grants with their spans."""
    tokens = [
        (token.token, token.start, token.end)
        for token in scan(text)
        if token.token not in (grammar.SQL_COMMENT, grammar.C_COMMENT)
    ]
    masked = bytearray(script)
    asynchronous: list[int] = []
    grants: list[tuple[int, int, IamGrant]] = []
    words = [script[start:end].decode("utf-8", "replace").lower() for _, start, end in tokens]
    for first in _statement_starts(words):
        at = _async_token(words, first)
        if at:
            start, end = tokens[at][1:]
            masked[start:end] = b" " * (end - start)
            asynchronous.append(start)
        elif words[first : first + 2] == ["aws", "iam"]:
            last = _statement_end(words, first)
            start, end = tokens[first][1], tokens[last - 1][2]
            grants.append((start, end, _iam_grant(text, script, tokens[first:last])))
            masked[start:end] = b" " * (end - start)
    return masked.decode(), asynchronous, grants


def _statement_starts(words: list[str]) -> list[int]:
    return [at for at in range(len(words)) if at == 0 or words[at - 1] == ";"]


def _statement_end(words: list[str], first: int) -> int:
    return next((at for at in range(first, len(words)) if words[at] == ";"), len(words))


def _async_token(words: list[str], first: int) -> int:
    """Return the index of the token ASYNC in CREATE [UNIQUE] INDEX ASYNC or ALTER TABLE ASYNC, else 0."""
    head = words[first : first + 4]
    if head[:3] == ["create", "index", "async"]:
        return first + 2
    if head[:4] == ["create", "unique", "index", "async"]:
        return first + 3
    if head[:3] == ["alter", "table", "async"]:
        return first + 2
    return 0


def _iam_grant(text: str, script: bytes, tokens: list[tuple[int, int, int]]) -> IamGrant:
    """Read AWS IAM GRANT role TO 'arn'. PostgreSQL's parser reads the names: as GRANT role TO "arn"."""
    words = [script[start:end].decode("utf-8", "replace") for _, start, end in tokens]
    verb = words[2].lower() if len(words) > 2 else ""
    direction = {"grant": "to", "revoke": "from"}.get(verb)
    shape = ((2, direction), (4, direction))
    for index, expected in shape:
        if index >= len(words):
            raise syntax_error("syntax error at end of input", position=len(text) + 1)
        if expected is None or (index == 4 and words[4].lower() != expected):
            raise _token_error(script, tokens[index])
    if len(words) < 6:
        raise syntax_error("syntax error at end of input", position=len(text) + 1)
    if tokens[5][0] != grammar.SCONST:
        raise _token_error(script, tokens[5])
    if len(words) > 6:
        raise _token_error(script, tokens[6])
    role = parse(f"GRANT {words[3]} TO x").stmts[0].stmt.grant_role_stmt.granted_roles[0]
    arn = parse(f"SELECT {words[5]}").stmts[0].stmt.select_stmt.target_list[0].res_target.val
    return IamGrant(role.access_priv.priv_name, arn.a_const.sval.sval, revoke=verb == "revoke")


def _token_error(script: bytes, token: tuple[int, int, int]) -> SqlError:
    word = script[token[1] : token[2]].decode("utf-8", "replace")
    position = len(script[: token[1]].decode("utf-8", "replace")) + 1
    return syntax_error(f'syntax error at or near "{word}"', position=position)
