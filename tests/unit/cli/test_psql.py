import argparse
import datetime
import json
import os
import subprocess
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from dsql.cli import token
from dsql.cli.errors import CommandError
from dsql.cli.main import main
from dsql.control.access_keys import AccessKeyStore, ensure_first_key
from dsql.control.authority import Authority, ensure_certificates
from dsql.control.clusters import DEFAULT_ACCOUNT, create_cluster
from dsql.control.layout import ClusterRecord, Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path)
    ensure_certificates(layout, Authority.open(layout), datetime.datetime.now(datetime.UTC))
    ensure_first_key(AccessKeyStore(layout.access_keys), DEFAULT_ACCOUNT)
    return layout


@pytest.fixture
def cluster(layout: Layout) -> ClusterRecord:
    return create_cluster(layout, Authority.open(layout))


def parsed(module, layout: Layout, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.configure(parser)
    return parser.parse_args(["--data", str(layout.root), *words])


def test_token_is_printed_for_the_user(layout, cluster, capsys) -> None:
    assert token.run(parsed(token, layout, "--user", "app", "--expires-in", "60")) == 0
    host, _, query = capsys.readouterr().out.strip().partition("/?")
    parameters = parse_qs(query)
    assert host == cluster.endpoint
    assert parameters["Action"] == ["DbConnect"]
    assert parameters["X-Amz-Expires"] == ["60"]


@pytest.mark.parametrize("seconds", ["0", "604801", "soon", "-1"])
def test_impossible_lifetimes_are_misuse(layout, seconds) -> None:
    with pytest.raises(SystemExit):
        parsed(token, layout, "--expires-in", seconds)


def test_cluster_must_be_chosen_among_several(layout, cluster) -> None:
    other = create_cluster(layout, Authority.open(layout))
    with pytest.raises(CommandError, match=other.identifier):
        token.run(parsed(token, layout))
    assert token.run(parsed(token, layout, "--cluster", other.identifier)) == 0


def test_missing_cluster_is_one_line(layout) -> None:
    with pytest.raises(CommandError, match="there is no cluster"):
        token.run(parsed(token, layout))


def test_psql_is_started_with_everything_it_needs(layout, cluster, monkeypatch) -> None:
    started = {}

    def execute(file: str, words: list[str], environment: dict[str, str]) -> None:
        started.update(file=file, words=words, environment=environment)

    monkeypatch.setattr(os, "execvpe", execute)
    layout.relay_address.parent.mkdir()
    layout.relay_address.write_text("0.0.0.0:5499\n")
    main(["psql", "--data", str(layout.root), "-c", "select 1", cluster.identifier, "--", "-At"])
    assert started["words"] == ["psql", "-At", "-c", "select 1"]
    environment = started["environment"]
    assert environment["PGHOST"] == cluster.endpoint
    assert (environment["PGHOSTADDR"], environment["PGPORT"]) == ("127.0.0.1", "5499")
    assert environment["PGSSLMODE"] == "verify-full"
    assert Path(environment["PGSSLROOTCERT"]).is_absolute()
    assert environment["PGPASSWORD"].startswith(cluster.endpoint)
    assert not environment.keys() & {"AWS_ACCESS_KEY_ID", "DSQL_CLUSTER"} - os.environ.keys()


def test_missing_psql_is_one_line(layout, cluster, monkeypatch, capsys) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["psql", "--data", str(layout.root)]) == 1
    assert capsys.readouterr().err.startswith("dsql psql: psql is not installed")


def test_a_shell_reads_what_env_prints(layout, cluster, capsys) -> None:
    assert main(["env", "--data", str(layout.root), "--user", "app"]) == 0
    script = f"{capsys.readouterr().out}env -0"
    output = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    seen = dict(line.partition("=")[::2] for line in output.split("\0"))
    assert (seen["PGHOST"], seen["PGUSER"]) == (cluster.endpoint, "app")
    assert "Action=DbConnect&" in seen["PGPASSWORD"]
    main(["env", "--data", str(layout.root), "--user", "app", "--json"])
    variables = json.loads(capsys.readouterr().out)
    assert variables.keys() <= seen.keys()
    assert variables["AWS_SECRET_ACCESS_KEY"] == seen["AWS_SECRET_ACCESS_KEY"]
