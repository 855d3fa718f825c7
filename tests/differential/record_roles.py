"""Writes down what a PostgreSQL 16 answers to the statements of `role_answers.txt`.

The argument is a DSN: of a superuser, on a Unix socket, of a server that has no other roles and trusts
everybody. New statements are lines at the file's end.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from memory_server import Peer
from test_role_statements import FILE, NEWER_WORDS, ROLES, ask, in_block, lines, recorded, set_up

from dsql.wire import client


def main(dsn: str) -> None:
    """Record every answer anew."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create role admin login createrole")
        connection.execute("alter schema public owner to admin")
        connection.execute("alter database postgres owner to admin")
        peers: dict[str, Peer] = {}

        def peer(role: str) -> Peer:
            if role not in peers:
                peers[role] = _connected(connection, role)
            return peers[role]

        set_up(peer)
        answers = {
            text: {
                role: tuple(map(_newer, ask(peer(role), in_block(text))))
                for role in ROLES
                if not kept or role in kept
            }
            for text, kept in recorded().items()
        }
    FILE.write_text("\n".join(lines(answers)) + "\n")


def _connected(connection: psycopg.Connection[object], role: str) -> Peer:
    info = connection.info
    ours = socket.socket(socket.AF_UNIX)
    ours.connect(f"{info.host}/.s.PGSQL.{info.port}")
    peer = Peer(ours)
    peer.ask(client.startup({"user": role, "database": "postgres"}))
    return peer


def _newer(text: str) -> str:
    for old, new in NEWER_WORDS.items():
        if old in text and new not in text:
            text = text.replace(old, new)
    return text


if __name__ == "__main__":
    main(sys.argv[1])
