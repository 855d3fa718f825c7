"""What a seed has done before it forks."""

from __future__ import annotations

import pytest

from dsql.catalog.loader import CatalogCache
from dsql.session import warm_up
from dsql.session.plan_cache import PlanCache


@pytest.mark.parametrize("profile", warm_up.PROFILES)
def test_only_what_writes_to_the_table_that_is_not_there_stays_cold(profile: str) -> None:
    catalog = CatalogCache().current(warm_up.EmptyStore())
    cold = warm_up.compile_all(catalog, profile, PlanCache())
    assert [text.split()[0] for text in cold] == ["INSERT", "UPDATE"]


def test_the_rows_of_the_catalogs_can_be_made_without_a_session() -> None:
    catalog = CatalogCache().current(warm_up.EmptyStore())
    for profile in warm_up.PROFILES:
        for name in warm_up.READ_FIRST:
            assert warm_up.read_catalog(catalog, profile, name) > 0
