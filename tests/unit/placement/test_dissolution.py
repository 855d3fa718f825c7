from pathlib import Path

from dsql.control.authority import Authority
from dsql.control.clusters import create_cluster
from dsql.control.layout import Layout
from dsql.control.removal import withdraw_cluster
from placement.dissolution import NOTICE_SECONDS, Dissolution


def test_a_cluster_is_noticed_once_it_is_deleted_and_has_its_time(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    dissolution = Dissolution(layout)
    cluster = create_cluster(layout, Authority.open(layout)).identifier
    assert list(dissolution.look([cluster], 0.0)) == []
    withdraw_cluster(layout, cluster)
    assert list(dissolution.look([cluster], 1.0)) == [(cluster, False)]
    assert list(dissolution.look([cluster], 1.0 + NOTICE_SECONDS)) == [(cluster, True)]
    assert list(dissolution.look([], 9.0)) == []
    assert list(dissolution.look([cluster], 10.0)) == [(cluster, False)]
