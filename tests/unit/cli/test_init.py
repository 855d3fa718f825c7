from __future__ import annotations

import json
from pathlib import Path

from dsql.cli.main import main
from dsql.control.layout import Layout


def test_a_directory_that_was_made_is_left_as_it_is(tmp_path: Path, capsys) -> None:
    words = ["init", "--data", str(tmp_path / "data"), "--region", "eu-west-1"]
    assert main([*words, "--profile", "postgres"]) == 0
    endpoint = capsys.readouterr().out
    layout = Layout(tmp_path / "data")
    before = {path: path.read_bytes() for path in sorted(layout.root.rglob("*")) if path.is_file()}
    assert main(words) == 0
    assert capsys.readouterr().out == endpoint
    assert {path: path.read_bytes() for path in before} == before
    assert main(["env", "--data", str(layout.root), "--json"]) == 0
    variables = json.loads(capsys.readouterr().out)
    assert f"{variables['DSQL_ENDPOINT']}\n" == endpoint
    assert variables["AWS_REGION"] == "eu-west-1"


def test_another_profile_than_the_clusters_is_refused(tmp_path: Path, capsys) -> None:
    words = ["init", "--data", str(tmp_path)]
    assert main(words) == 0
    assert main([*words, "--profile", "postgres"]) == 2
    assert "has the profile dsql" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert main(["init", "--data", str(tmp_path / "file" / "data")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
