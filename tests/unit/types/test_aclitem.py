from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsql.catalog.catalog import Catalog
from dsql.catalog.names import CatalogNames, View
from dsql.catalog.schema import AclItem, Role
from dsql.errors import SqlError
from dsql.types import reg
from dsql.types.aclitem import decode_aclitem, encode_aclitem, from_bytes, to_bytes

NAMES = ("admin", "select", "Odd one", 'quo"ted', "ünï", "12")


@pytest.fixture(autouse=True)
def _roles() -> Iterator[None]:
    catalog = Catalog(1, [], [], [Role(oid, name) for oid, name in enumerate(NAMES, 10)])
    reg.install(CatalogNames(lambda: View(catalog, ("public",), None)))
    yield
    reg.install(None)


@given(
    st.builds(
        AclItem,
        st.sampled_from((0, *range(10, 16))),
        st.integers(10, 15),
        st.integers(0, 2**14 - 1),
        st.just(0),
    ),
    st.integers(0, 2**14 - 1),
)
def test_an_item_is_what_its_text_says(item, grantable):
    item = AclItem(item.grantee, item.grantor, item.privileges, grantable & item.privileges)
    assert decode_aclitem(encode_aclitem(item)) == item
    assert from_bytes(to_bytes(item)) == item


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (AclItem(0, 10, 2), "=r/admin"),
        (AclItem(11, 10, 0b1111, 0b10), "select=ar*wd/admin"),
        (AclItem(12, 13, 256), '"Odd one"=U/"quo""ted"'),
        (AclItem(99, 10, 2), "99=r/admin"),
        (AclItem(15, 10, 2), "12=r/admin"),
    ],
)
def test_text_is_postgresqls(item, text):
    assert encode_aclitem(item).decode() == text


@pytest.mark.parametrize(
    ("text", "sqlstate", "message"),
    [
        ("admin", "22P02", 'unrecognized key word: "admin"'),
        ("", "22P02", 'unrecognized key word: ""'),
        ("user ,=r/admin", "22P02", "missing name"),
        ("user admin", "22P02", 'missing "=" sign'),
        ("admin=q/admin", "22P02", 'invalid mode character: must be one of "arwdDxtXUCTcsA"'),
        ("admin=r/", "22P02", 'a name must follow the "/" sign'),
        ("admin=r/admin x", "22P02", "extra garbage at the end of the ACL specification"),
        ("nobody=r/admin", "42704", 'role "nobody" does not exist'),
    ],
)
def test_malformed_text_is_refused(text, sqlstate, message):
    with pytest.raises(SqlError) as raised:
        decode_aclitem(text.encode())
    assert (raised.value.sqlstate, raised.value.message) == (sqlstate, message)
