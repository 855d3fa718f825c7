from __future__ import annotations

import pytest

from dsql.catalog.pretty import pretty


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("'new'::character varying", "'new'::character varying"),
        ("(7 + 1)", "7 + 1"),
        ("(total > (0)::numeric)", "total > 0::numeric"),
        (
            "((((status)::text <> 'x (y)'::text) AND (total > (1)::numeric)) OR "
            "(id = ANY (ARRAY[(1)::bigint, (2)::bigint])))",
            "status::text <> 'x (y)'::text AND total > 1::numeric OR "
            "(id = ANY (ARRAY[1::bigint, 2::bigint]))",
        ),
        ("(((id >= 3) AND (id <= 5)) AND (NOT b))", "id >= 3 AND id <= 5 AND NOT b"),
        (
            "((status IS NOT NULL) AND ((COALESCE(n, 0))::numeric > 1.5))",
            "status IS NOT NULL AND COALESCE(n, 0)::numeric > 1.5",
        ),
        ("((a OR b) AND c)", "(a OR b) AND c"),
        ("lower((status)::text)", "lower(status::text)"),
        ("((a + b) * c)", "(a + b) * c"),
    ],
)
def test_parentheses_are_shown_where_postgresql_shows_them(stored: str, shown: str) -> None:
    assert pretty(stored) == shown
