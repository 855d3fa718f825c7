import pytest

from dsql.errors import FatalError
from relay.routing import choose_cluster, cluster_of_server_name, take_cluster_option

ID = "abcdefghijklmnopqrstuvwxy2"
OTHER = "b" * 26


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        (f"{ID}.dsql.us-east-1.on.aws", ID),
        (f"{ID.upper()}.DSQL.local", ID),
        (ID, ID),
        ("localhost", ""),
        (f"x.{ID}.on.aws", ""),
        (f"{ID}x.on.aws", ""),
        ("", ""),
    ],
)
def test_first_label_names_the_cluster(name: str, identifier: str) -> None:
    assert cluster_of_server_name(name) == identifier


@pytest.mark.parametrize(
    ("options", "identifier", "rest"),
    [
        (f"-c amzn-cluster-id={ID}", ID, ""),
        (f"-camzn-cluster-id={ID} -c a=b", ID, "-c a=b"),
        (f"--amzn-cluster-id={ID}", ID, ""),
        (f"-c a=b\\ c -c amzn-cluster-id={ID} --d=e", ID, "-c a=b\\ c --d=e"),
        ("-c a=amzn-cluster-id=x", "", "-c a=amzn-cluster-id=x"),
        ("-c", "", "-c"),
        ("", "", ""),
    ],
)
def test_option_is_taken_out_of_the_others(options: str, identifier: str, rest: str) -> None:
    assert take_cluster_option(options) == (identifier, rest)


def test_server_name_or_option_is_enough() -> None:
    assert choose_cluster(f"{ID}.on.aws", "") == ID
    assert choose_cluster("", ID) == ID
    assert choose_cluster("localhost", ID) == ID
    assert choose_cluster(f"{ID}.on.aws", ID) == ID


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("", "", "sni was not received"),
        ("localhost", "", "cluster not found"),
        (f"{ID}.on.aws", OTHER, "does not match the sni"),
    ],
)
def test_ambiguous_and_nameless_connections_are_refused(
    name: str, option: str, message: str
) -> None:
    with pytest.raises(FatalError, match=message):
        choose_cluster(name, option)
