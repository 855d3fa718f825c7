"""Who is let into the console, what other sites' pages can do, and where the way to the relay leads."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
from direct_service import Service
from msgspec.structs import replace
from wsproto import events

from control_plane import http_server
from control_plane.console import tunnel
from dsql.control.running import relay_address

from .console_door import SESSION, ConsoleDoor, new_cluster, relay_of


@pytest.fixture
async def door(service: Service) -> AsyncIterator[ConsoleDoor]:
    found = ConsoleDoor(service)
    found.port = await found.server.listen("127.0.0.1", 0, None)
    yield found
    await found.close()


async def test_the_page_may_do_nothing_but_what_is_its_own(door: ConsoleDoor) -> None:
    page = await door.ask("GET", "/console/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-content-type-options"] == "nosniff"
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert nonce.encode() in page.body
    again = await door.ask("GET", "/console/")
    assert nonce.encode() not in again.body


async def test_the_browser_need_not_load_what_it_has(door: ConsoleDoor) -> None:
    whole = await door.ask("GET", "/console/assets/console.js", {"Accept-Encoding": "gzip"})
    assert (whole.status, whole.headers["content-encoding"]) == (200, "gzip")
    assert len(whole.body) < 300_000
    again = await door.ask(
        "GET", "/console/assets/console.js", {"If-None-Match": whole.headers["etag"]}
    )
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("name", ["SOURCES", "index.html", "..%2f__init__.py", "nothing.js"])
async def test_only_what_belongs_to_the_page_is_shown(door: ConsoleDoor, name: str) -> None:
    assert (await door.ask("GET", f"/console/assets/{name}")).status in (404, 418)


async def test_the_cookie_is_for_our_page_only(door: ConsoleDoor) -> None:
    answer = await door.ask("POST", SESSION, door.signed(door.service.first))
    flags = answer.headers["set-cookie"].split("; ")[1:]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(flags)
    secret = door.service.first.secret_access_key.encode()
    assert secret not in answer.body


async def test_a_wrong_secret_opens_nothing(door: ConsoleDoor, service: Service) -> None:
    wrong = replace(service.first, secret_access_key="x" * 40)
    answer = await door.ask("POST", SESSION, door.signed(wrong))
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
    assert "set-cookie" not in answer.headers


async def test_a_sign_in_that_was_overheard_opens_nothing(door: ConsoleDoor) -> None:
    headers = door.signed(door.service.first)
    assert (await door.ask("POST", SESSION, headers)).status == 200
    assert (await door.ask("POST", SESSION, headers)).status == 403


async def test_who_guesses_is_slowed_down(door: ConsoleDoor) -> None:
    statuses = [
        (await door.ask("POST", SESSION, {"Origin": f"http://{door.host}"})).status
        for _ in range(21)
    ]
    assert statuses == [403] * 20 + [429]


async def test_a_sign_in_is_audited(door: ConsoleDoor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "control_plane.audit"):
        await door.sign_in()
        await door.ask("POST", SESSION, {"Origin": f"http://{door.host}"})
    good, bad = (vars(record) for record in caplog.records)
    assert good["eventName"] == bad["eventName"] == "ConsoleLogin"
    assert good["eventSource"] == "signin.amazonaws.com"
    assert good["userIdentity"]["arn"] == door.service.first.principal
    assert bad["errorCode"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_page_of_another_site_is_told_nothing(
    door: ConsoleDoor, headers: dict[str, str]
) -> None:
    browser = await door.sign_in()
    for method, path in (("GET", "/session"), ("GET", "/aws/cluster"), ("POST", "/aws/cluster")):
        answer = await browser.ask(method, path, **headers)
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers
    assert door.service.registry.page(None, 10) == []


async def test_a_cookie_without_the_token_does_nothing(door: ConsoleDoor) -> None:
    """As a form of another site's page would come to a browser that knows no SameSite."""
    browser = await door.sign_in()
    cookie = {"Cookie": browser.headers["Cookie"]}
    form = cookie | {"Content-Type": "text/plain"}
    made = await door.ask("POST", "/console/api/aws/cluster", form, b"{}")
    assert made.status == 403
    assert (await door.ask("DELETE", SESSION, cookie)).status == 403
    assert (await browser.ask("GET", "/aws/cluster")).status == 200


async def test_who_is_signed_in_does_what_the_policies_allow(
    door: ConsoleDoor, service: Service
) -> None:
    browser = await door.sign_in()
    made = (await browser.ask("POST", "/aws/cluster", {"tags": {"Name": "a"}})).json()
    listed = (await browser.ask("GET", "/aws/cluster")).json()["clusters"]
    assert [one["identifier"] for one in listed] == [made["identifier"]]
    nobody = await door.sign_in(service.user("nobody"))
    refused = await nobody.ask("GET", "/aws/cluster")
    assert refused.headers["x-amzn-errortype"] == "AccessDeniedException"
    for path in ("place", "picture"):
        assert (await nobody.ask("GET", f"/clusters/{made['identifier']}/{path}")).status == 403
    token = await nobody.ask("POST", f"/clusters/{made['identifier']}/token", {})
    assert token.headers["x-amzn-errortype"] == "AccessDeniedException"


async def test_a_token_is_made_for_whom_the_caller_may_be(
    door: ConsoleDoor, service: Service
) -> None:
    record = new_cluster(service)
    statement = {
        "Effect": "Allow",
        "Action": "dsql:DbConnect",
        "Resource": "*",
        "Condition": {"StringEquals": {"dsql:DbUser": "app"}},
    }
    browser = await door.sign_in(service.user("app", statement))
    path = f"/clusters/{record.identifier}/token"
    made = (await browser.ask("POST", path, {"user": "app"})).json()["token"]
    assert made.startswith(f"{record.endpoint}/?Action=DbConnect&")
    for user in ("admin", "other"):
        assert (await browser.ask("POST", path, {"user": user})).status == 403
    for body in ({"user": ""}, {"user": 1}, [], {"user": "x" * 64}):
        assert (await browser.ask("POST", path, body)).status == 400


async def test_a_session_ends_with_its_key_its_time_or_its_users_word(
    door: ConsoleDoor, service: Service
) -> None:
    key = service.user("brief", {"Effect": "Allow", "Action": "dsql:*", "Resource": "*"})
    browsers = [await door.sign_in(key), await door.sign_in(), await door.sign_in()]
    service.keys.remove(key.access_key_id)
    assert (await browsers[0].ask("GET", "/aws/cluster")).status == 401
    assert (await browsers[1].ask("DELETE", "/session")).status == 200
    assert (await browsers[1].ask("GET", "/aws/cluster")).status == 401
    assert (await browsers[1].ask("GET", "/session")).json() == {}
    door.shift = 3_599
    assert (await browsers[2].ask("GET", "/aws/cluster")).status == 200
    door.shift += 3_601
    assert (await browsers[2].ask("GET", "/aws/cluster")).status == 401


async def test_the_way_leads_to_the_relay_under_the_clusters_name(
    door: ConsoleDoor, service: Service
) -> None:
    record = new_cluster(service)
    browser = await door.sign_in()
    async with relay_of(service.layout, record) as relay:
        socket = await browser.connect(record.identifier)
        assert isinstance(await socket.next(), events.AcceptConnection)
        socket.send(b"hello")
        answer = await socket.next()
        assert isinstance(answer, events.BytesMessage)
        assert answer.data == b"hello"
        assert relay.names == [record.endpoint]
        socket.send(b"leave")
        assert (await socket.closed()).code == 1000
    assert len(door.tunnels) == 0


async def test_the_way_leads_to_the_relay_that_was_named(service: Service) -> None:
    record = new_cluster(service)
    async with relay_of(service.layout, record) as relay:
        door = ConsoleDoor(service, relay_address(service.layout))
        service.layout.relay_address.write_text("127.0.0.1:1")
        door.port = await door.server.listen("127.0.0.1", 0, None)
        socket = await (await door.sign_in()).connect(record.identifier)
        await socket.next()
        socket.send(b"hello")
        assert isinstance(await socket.next(), events.BytesMessage)
        assert relay.names == [record.endpoint]
        await door.close()


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://elsewhere.example"}, {"Origin": ""}, {"Cookie": "dsql-console=x"}],
)
async def test_a_socket_of_another_sites_page_is_refused(
    door: ConsoleDoor, service: Service, headers: dict[str, str]
) -> None:
    record = new_cluster(service)
    browser = await door.sign_in()
    async with relay_of(service.layout, record) as relay:
        socket = await browser.connect(record.identifier, **headers)
        refusal = await socket.next()
        assert isinstance(refusal, events.RejectConnection)
        assert refusal.status_code in (401, 403)
        assert relay.names == []


@pytest.mark.parametrize(
    "target", ["a" * 26, "127.0.0.1:22", "..%2f..%2fetc", "evil.example", "{other}"]
)
async def test_a_socket_leads_nowhere_else(
    door: ConsoleDoor, service: Service, target: str
) -> None:
    """Neither to another host, nor to a cluster that the user may not connect to."""
    ours, other = new_cluster(service), new_cluster(service)
    allowed = {"Effect": "Allow", "Action": "dsql:*", "Resource": f"*/{ours.identifier}"}
    browser = await door.sign_in(service.user("one", allowed))
    async with relay_of(service.layout, other) as relay:
        socket = await browser.connect(target.format(other=other.identifier))
        refusal = await socket.next()
        assert isinstance(refusal, events.RejectConnection)
        assert relay.names == []


async def test_what_is_too_long_ends_the_connection(door: ConsoleDoor, service: Service) -> None:
    record = new_cluster(service)
    browser = await door.sign_in()
    async with relay_of(service.layout, record) as relay:
        socket = await browser.connect(record.identifier)
        await socket.next()
        socket.send(b"x" * (http_server.MESSAGE_BYTES_MAX + 1))
        assert (await socket.closed()).code in (1006, 1009)
        assert relay.received == b""


async def test_a_text_is_no_message_of_the_protocol(door: ConsoleDoor, service: Service) -> None:
    record = new_cluster(service)
    browser = await door.sign_in()
    async with relay_of(service.layout, record) as relay:
        socket = await browser.connect(record.identifier)
        await socket.next()
        socket.send_event(events.TextMessage("select 1"))
        await socket.closed()
        assert relay.received == b""


async def test_a_session_has_so_many_connections_and_no_more(
    door: ConsoleDoor, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "TUNNELS_PER_SESSION_MAX", 1)
    record = new_cluster(service)
    browser = await door.sign_in()
    async with relay_of(service.layout, record):
        first = await browser.connect(record.identifier)
        await first.next()
        first.send(b"here")
        await first.next()
        second = await browser.connect(record.identifier)
        assert (await second.closed()).code == 1013


async def test_connections_end_with_the_session_that_opened_them(
    door: ConsoleDoor, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "CHECK_SECONDS", 0.02)
    record = new_cluster(service)
    browser = await door.sign_in()
    async with relay_of(service.layout, record):
        socket = await browser.connect(record.identifier)
        await socket.next()
        await browser.ask("DELETE", "/session")
        assert (await socket.closed()).code == 1008


async def test_a_silent_connection_is_closed(
    door: ConsoleDoor, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(tunnel, "IDLE_SECONDS", 0.1)
    record = new_cluster(service)
    browser = await door.sign_in()
    async with relay_of(service.layout, record):
        socket = await browser.connect(record.identifier)
        await socket.next()
        assert (await socket.closed()).code == 1001


async def test_a_relay_that_is_away_is_named(door: ConsoleDoor, service: Service) -> None:
    record = new_cluster(service)
    browser = await door.sign_in()
    async with relay_of(service.layout, record):
        pass
    socket = await browser.connect(record.identifier)
    await socket.next()
    end = await socket.closed()
    assert (end.code, "the relay cannot be reached" in (end.reason or "")) == (1013, True)


async def test_a_control_plane_that_stops_ends_the_connections(
    door: ConsoleDoor, service: Service
) -> None:
    record = new_cluster(service)
    browser = await door.sign_in()
    async with relay_of(service.layout, record):
        socket = await browser.connect(record.identifier)
        await socket.next()
        await asyncio.wait_for(door.server.close(), 5)
        await socket.closed()


async def test_a_picture_shows_one_cluster_only(door: ConsoleDoor, service: Service) -> None:
    ours, other = new_cluster(service), new_cluster(service)
    browser = await door.sign_in()
    answer = await browser.ask("GET", f"/clusters/{ours.identifier}/picture")
    picture = answer.json()
    assert picture["azs"] == ours.azs
    assert {"relay-1", "agent", "placement"} <= {role["role"] for role in picture["roles"]}
    assert other.identifier not in json.dumps(picture)
