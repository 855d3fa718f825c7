"""Statements about roles, by every kind of role, on every road: answers as PostgreSQL 16's.

PostgreSQL 16 made the rules about who may do what to a role anew, so the one beside the tests, which may be
older, does not tell. What 16.2 answers is written down in `role_answers.txt`; `python record_roles.py DSN`
writes it again, with a superuser's DSN of such a server. Roles that a statement has no answer for are not
asked: admin, where it is not what it is there, because nobody alters Aurora DSQL's admin.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from memory_server import ARN, Peer, Server, errors, notices

from dsql.wire import client

# Two roles with CREATEROLE, of whom `creator` made `team`; one with ADMIN OPTION on it, and nothing else;
# members with and without its privileges; the role itself; and one that has nothing to do with it.
ROLES = ("admin", "creator", "maker", "keeper", "member", "quiet", "team", "outsider")
SETUP = """
admin> create role creator login createrole
admin> create role maker login createrole
admin> create role keeper login
admin> create role member login
admin> create role quiet login
admin> create role holder login
admin> create role outsider login
admin> create role idle
admin> create schema s
admin> create schema closed
admin> grant usage, create on schema s to public
creator> create role team login
creator> create role crew login
creator> grant team to keeper with admin option
keeper> grant team to member
creator> grant team to quiet with inherit false, set false
admin> grant holder to member
holder> create table s.h (a int primary key)
holder> grant select on s.h to crew
team> create table s.t (a int primary key)
"""
FILE = Path(__file__).parent / "role_answers.txt"
Answer = tuple[str, ...]  # each "SEVERITY SQLSTATE message | detail | hint"
# Words that PostgreSQL 16 got after 16.2.
NEWER_WORDS = {
    "may add members.": "may add or drop members.",
    "to set session authorization": 'to set session authorization "team"',
}


def recorded() -> dict[str, dict[str, Answer]]:
    """Return what each role is answered, by statement."""
    found: dict[str, dict[str, Answer]] = {}
    for line in FILE.read_text().splitlines():
        if not line.startswith(" "):
            found[line] = answers = {}
            continue
        roles, _, said = line.strip().partition(": ")
        said = said.replace("\\n", "\n")
        answers |= dict.fromkeys(roles.split(), tuple(said.split(" & ")) if said != "done" else ())
    return found


def lines(answers: dict[str, dict[str, Answer]]) -> Iterator[str]:
    """Yield the lines of the file."""
    for text, by_role in answers.items():
        yield text
        roles: dict[Answer, list[str]] = defaultdict(list)
        for role, answer in by_role.items():
            roles[answer].append(role)
        for answer, who in roles.items():
            said = " & ".join(answer).replace("\n", "\\n")
            yield f"    {' '.join(who)}: {said or 'done'}"


def in_block(text: str) -> bytes:
    return client.query(text)


def extended(text: str) -> bytes:
    return b"".join((client.parse(text), client.bind(), client.execute(), client.sync()))


def ask(peer: Peer, message: bytes) -> Answer:
    """Return what a statement is answered in a block that leaves nothing."""
    peer.query("begin")
    answers = peer.ask(message)
    peer.query("rollback")
    return tuple(_shown(fields) for fields in (*notices(answers), *errors(answers)))


def _shown(fields: dict[str, str]) -> str:
    parts = [f"{fields['S']} {fields['C']} {fields['M']}", fields.get("D", ""), fields.get("H", "")]
    return " | ".join(parts).rstrip(" |")


def set_up(peer: Callable[[str], Peer]) -> None:
    """Make the roles and what is theirs; `peer` gives a role's session."""
    for line in SETUP.strip().splitlines():
        role, _, text = line.partition("> ")
        answers = peer(role).query(text)
        assert not errors(answers), (line, errors(answers))


@pytest.fixture(scope="module")
def peers() -> Iterator[dict[str, Peer]]:
    server = Server("postgres")
    admin = server.connect()
    found = {"admin": admin}

    def peer(role: str) -> Peer:
        if role not in found:
            admin.query(f"aws iam grant {role} to '{ARN}'")
            found[role] = server.connect(user=role)
            admin.query(f"aws iam revoke {role} from '{ARN}'")  # else none can be dropped
        return found[role]

    set_up(peer)
    yield {role: peer(role) for role in ROLES}
    server.stop()


@pytest.mark.parametrize("road", [in_block, extended], ids=["simple", "extended"])
def test_statements_about_roles_are_answered_as_postgresql_16_does(
    road: Callable[[str], bytes], peers: dict[str, Peer]
) -> None:
    wrong = []
    for text, answers in recorded().items():
        for role, answer in answers.items():
            here = ask(peers[role], road(text))
            if here != answer:
                wrong.append(f"{role}> {text}\n  here     {here}\n  recorded {answer}")
    assert not wrong, f"{len(wrong)}\n" + "\n".join(wrong)
