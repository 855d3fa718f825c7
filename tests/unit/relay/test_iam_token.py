import random
import time
from urllib.parse import quote

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsql.client.auth_token import (
    Credentials,
    generate_db_connect_admin_auth_token,
    generate_db_connect_auth_token,
)
from dsql.control.identities import AccessKey
from dsql.iam.document import Policy
from dsql.iam.request import AccessRequest, Decision
from relay.iam_token import AccessDeniedError, Target, Verifier, parse

HOST = "abcdefghijklmnopqrstuvwxyz.dsql.eu-west-1.on.aws"
REGION = "eu-west-1"
ARN = "arn:aws:dsql:eu-west-1:111122223333:cluster/abcdefghijklmnopqrstuvwxyz"
TARGET = Target(HOST, REGION, ARN)
ALICE = "arn:aws:iam::111122223333:user/alice"
KEY = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = Credentials("ASIAIOSFODNN7EXAMPLE", "secret", "FwoG/+==")
NOW = 1_800_000_000.0


class Keys:
    """A key store that allows everything but what it is told to refuse."""

    def __init__(self, *, allow: bool = True, expires_at: float = 0.0) -> None:
        self.allow = allow
        self.keys = {
            KEY.access_key_id: AccessKey(KEY.access_key_id, KEY.secret_access_key, ALICE),
            SESSION.access_key_id: AccessKey(
                SESSION.access_key_id,
                SESSION.secret_access_key,
                "arn:aws:sts::111122223333:assumed-role/Writer/laptop",
                session_token=SESSION.session_token,
                expires_at=expires_at,
            ),
        }

    def find(self, access_key_id: str, session_token: str = "") -> AccessKey | None:
        key = self.keys.get(access_key_id)
        return key if key is not None and key.session_token == session_token else None

    def decide(self, key: AccessKey, request: AccessRequest, resource: Policy | None) -> Decision:
        self.asked = request
        return Decision(self.allow)


VERIFIER = Verifier(Keys())


def admin_token(**changes: object) -> str:
    arguments = {"host": HOST, "region": REGION, "credentials": KEY, "now": NOW} | changes
    return generate_db_connect_admin_auth_token(**arguments)  # type: ignore[arg-type]


def refused(token: str, user: str = "admin", now: float = NOW, keys: Keys | None = None):
    with pytest.raises(AccessDeniedError) as caught:
        Verifier(keys or Keys()).verify(token, TARGET, user, now)
    assert caught.value.sqlstate == "28000"
    assert caught.value.message == "unable to accept connection, access denied"
    return caught.value


def test_token_of_boto3_is_accepted() -> None:
    dsql = boto3.client(
        "dsql",
        region_name=REGION,
        aws_access_key_id=KEY.access_key_id,
        aws_secret_access_key=KEY.secret_access_key,
    )
    identity = VERIFIER.verify(
        dsql.generate_db_connect_admin_auth_token(HOST), TARGET, "admin", time.time()
    )
    assert identity == (ALICE, KEY.access_key_id, "DbConnectAdmin")
    VERIFIER.verify(dsql.generate_db_connect_auth_token(HOST), TARGET, "app", time.time())


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_order_of_parameters_does_not_matter(random_order: random.Random) -> None:
    host, _, query = admin_token().partition("/?")
    parameters = query.split("&")
    random_order.shuffle(parameters)
    VERIFIER.verify(f"{host}/?{'&'.join(parameters)}", TARGET, "admin", NOW)


@given(st.integers(0, 400), st.characters(codec="ascii"))
@settings(max_examples=200, deadline=None)
def test_any_changed_character_of_the_signed_text_is_refused(at: int, replacement: str) -> None:
    token = admin_token()
    at %= len(token)
    changed = token[:at] + replacement + token[at + 1 :]
    if changed != token and not same_meaning(token, changed):
        refused(changed)


def same_meaning(one: str, other: str) -> bool:
    """True if both decode to the same parameters, as %2f and %2F do."""
    try:
        return parse(one) == parse(other)
    except AccessDeniedError:
        return False


@given(st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_arbitrary_text_is_refused_and_nothing_else(text: str) -> None:
    refused(text)
    refused(f"{HOST}/?{text}")


def test_expired_token_says_when() -> None:
    error = refused(admin_token(expires_in=900), now=NOW + 900)
    assert error.hint == (
        "Signature expired: 20270115T081500Z is now earlier than 20270115T081500Z"
    )


def test_clock_of_the_client_may_be_five_minutes_fast() -> None:
    VERIFIER.verify(admin_token(now=NOW + 299), TARGET, "admin", NOW)
    error = refused(admin_token(now=NOW + 301))
    assert error.hint.startswith("Signature not yet current: ")


@pytest.mark.parametrize("expires_in", [0, -1, 604801, 10**12])
def test_impossible_lifetimes_are_refused(expires_in: int) -> None:
    assert refused(admin_token(expires_in=expires_in)).reason == "malformed"


def test_token_may_live_a_week() -> None:
    token = admin_token(expires_in=604800)
    VERIFIER.verify(token, TARGET, "admin", NOW + 604799)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"region": "us-east-1"}, "wrong region"),
        ({"host": "other.dsql.eu-west-1.on.aws"}, "wrong host"),
        ({"host": f"{HOST}:5432"}, "wrong host"),
        ({"credentials": Credentials("AKIAUNKNOWN", "x")}, "unknown key"),
        ({"credentials": Credentials(KEY.access_key_id, "other")}, "wrong signature"),
        ({"credentials": KEY._replace(session_token="made up")}, "wrong session token"),
        ({"credentials": SESSION._replace(session_token="other")}, "wrong session token"),
        ({"credentials": SESSION._replace(session_token="")}, "unknown key"),
    ],
)
def test_token_for_something_else_is_refused(changes: dict[str, object], reason: str) -> None:
    assert refused(admin_token(**changes)).reason == reason


def test_temporary_credentials_are_accepted_until_they_end() -> None:
    token = admin_token(credentials=SESSION)
    identity = Verifier(Keys()).verify(token, TARGET, "admin", NOW)
    assert identity.principal.endswith("assumed-role/Writer/laptop")
    assert refused(token, keys=Keys(expires_at=NOW)).reason == "expired credentials"


def test_action_must_fit_the_user() -> None:
    user_token = generate_db_connect_auth_token(HOST, REGION, KEY, now=NOW)
    assert refused(user_token).hint == (
        "Wrong user to action mapping. user: admin, action: DbConnect"
    )
    assert refused(admin_token(), user="app").hint == (
        "Wrong user to action mapping. user: app, action: DbConnectAdmin"
    )
    VERIFIER.verify(user_token, TARGET, "app", NOW)


def test_principal_needs_the_permission() -> None:
    assert refused(admin_token(), keys=Keys(allow=False)).reason == "not authorized"


def test_wrong_service_is_refused() -> None:
    token = admin_token().replace(quote("/dsql/", safe=""), quote("/rds-db/", safe=""))
    assert refused(token).reason == "wrong service"


def test_repeated_parameter_is_refused() -> None:
    assert refused(admin_token() + "&Action=DbConnectAdmin").reason == "malformed"


def test_a_token_that_was_good_is_refused_once_its_key_is_another_or_gone_or_its_time_is_over() -> (
    None
):
    keys = Keys()
    verifier, token = Verifier(keys), admin_token(expires_in=60)
    verifier.verify(token, TARGET, "admin", NOW)
    known = keys.keys[KEY.access_key_id]
    other = AccessKey(KEY.access_key_id, "another secret", ALICE)
    for now, key in ((NOW + 61, known), (NOW, other), (NOW, None)):
        keys.keys[KEY.access_key_id] = key
        with pytest.raises(AccessDeniedError):
            verifier.verify(token, TARGET, "admin", now)
    keys.keys[KEY.access_key_id] = known
    verifier.verify(token, TARGET, "admin", NOW)


def test_policies_are_asked_with_where_from_and_as_whom() -> None:
    keys = Keys()
    tagged = TARGET._replace(tags={"Stage": "test"})
    token = generate_db_connect_auth_token(HOST, REGION, KEY, now=NOW)
    Verifier(keys).verify(token, tagged, "app", NOW, "192.0.2.7")
    assert keys.asked[:3] == (ALICE, "dsql:DbConnect", ARN)
    context = keys.asked.context
    assert context["aws:sourceip"] == ("192.0.2.7",)
    assert context["dsql:dbuser"] == ("app",)
    assert context["aws:resourcetag/stage"] == ("test",)
