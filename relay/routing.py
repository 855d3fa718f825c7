"""Which cluster a connection means: the TLS server name, or the startup option `amzn-cluster-id`.

A cluster's endpoint begins with its identifier, so the first label of the server name is enough, whatever
domain the client reaches the relay under. A client without SNI (or with a name that is no cluster's, such
as localhost) gives `options='-c amzn-cluster-id=ID'`. If both name a cluster, they must name the same one.
"""

from __future__ import annotations

import re

from dsql.errors import FatalError

CLUSTER_OPTION = "amzn-cluster-id"
_IDENTIFIER = re.compile("[a-z0-9]{26}")
# A word of the options parameter: backslash takes the next character as it is.
_WORD = re.compile(r"(?:\\.|[^\s\\])+", re.DOTALL)


def cluster_of_server_name(server_name: str) -> str:
    """Return the identifier in front of a server name, "" if there is none."""
    label = server_name.partition(".")[0].lower()
    return label if _IDENTIFIER.fullmatch(label) else ""


def take_cluster_option(options: str) -> tuple[str, str]:
    """Return the identifier given in startup options ("" if none) and the options without it.

    Options are written as for a PostgreSQL server: `-c name=value`, `-cname=value` or `--name=value`.
    """
    identifier = ""
    kept: list[str] = []
    words = _WORD.findall(options)
    while words:
        taken = [words.pop(0)]
        if taken == ["-c"] and words:
            taken.append(words.pop(0))
        name, _, value = _assignment(taken).partition("=")
        if name.lower() == CLUSTER_OPTION:
            identifier = value
        else:
            kept += taken
    return identifier, " ".join(kept)


def _assignment(words: list[str]) -> str:
    """Return the `name=value` that one option of one or two words sets."""
    text = words[-1]
    if len(words) == 1:
        text = text[2:] if text.startswith(("-c", "--")) else ""
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def choose_cluster(server_name: str, option: str) -> str:
    """Return the identifier of the cluster that a client means.

    `server_name` is "" without SNI, `option` without the startup option. Raises FatalError.
    """
    named = cluster_of_server_name(server_name)
    if named and option and named != option:
        raise FatalError(
            "08004",
            "unable to accept connection, cluster id does not match the sni",
            detail=f"The sni names {named}, the option {CLUSTER_OPTION} {option}.",
        )
    if not server_name and not option:
        raise FatalError("08004", "unable to accept connection, sni was not received")
    if not named and not option:
        raise no_such_cluster()
    return named or option


def no_such_cluster() -> FatalError:
    """Return the refusal of a name that no cluster has."""
    return FatalError(
        "08004",
        "unable to accept connection, cluster not found",
        hint=f"Connect to the cluster's endpoint, or give options='-c {CLUSTER_OPTION}=ID'.",
    )
