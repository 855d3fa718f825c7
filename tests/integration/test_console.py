"""The console in a real browser: from signing in to deleting a cluster.

One cluster and one browser for all, and each test a page of its own.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, expect, sync_playwright
from running_cluster import RunningCluster

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium (sh tests/install_browser.sh)")
SECONDS = 20  # a busy machine takes its time


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    cluster = RunningCluster(tmp_path_factory.mktemp("console"), api=True, options=("--warm", "1"))
    yield cluster.start()
    cluster.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=SECONDS * 1000)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def context(browser: Browser, running: RunningCluster) -> Iterator[BrowserContext]:
    """A browser that is signed in."""
    found = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 860})
    found.set_default_timeout(SECONDS * 1000)
    page = found.new_page()
    names = running.variables
    page.goto(names["AWS_ENDPOINT_URL_DSQL"])
    page.get_by_label("Access key ID").fill(names["AWS_ACCESS_KEY_ID"])
    page.get_by_label("Secret access key").fill(names["AWS_SECRET_ACCESS_KEY"])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Clusters")).to_be_visible()
    page.close()
    yield found
    found.close()


class Tab:
    """A page of a cluster."""

    def __init__(self, context: BrowserContext, running: RunningCluster, place: str) -> None:
        self.url = running.variables["AWS_ENDPOINT_URL_DSQL"] + "/console/"
        self.identifier = running.variables["DSQL_ENDPOINT"].partition(".")[0]
        self.page = context.new_page()
        self.failures: list[str] = []
        self.page.on("pageerror", lambda error: self.failures.append(str(error)))
        self.page.goto(f"{self.url}#/clusters/{self.identifier}/{place}")

    def run(self, text: str, button: str = "Run") -> Locator:
        """Run a statement; return where its outcome is shown."""
        self.page.locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Escape")
        self.page.get_by_role("button", name=button, exact=True).click()
        outcome = self.page.locator(".outcome[aria-busy=false]")
        expect(outcome).to_be_visible()
        expect(self.page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
        return outcome


@pytest.fixture
def tab(context: BrowserContext, running: RunningCluster) -> Iterator[Tab]:
    found = Tab(context, running, "query")
    yield found
    assert found.failures == []
    found.page.close()


def test_who_has_a_wrong_secret_is_not_let_in(browser: Browser, running: RunningCluster) -> None:
    page = browser.new_page(ignore_https_errors=True)
    page.goto(running.variables["AWS_ENDPOINT_URL_DSQL"])
    page.get_by_label("Access key ID").fill(running.variables["AWS_ACCESS_KEY_ID"])
    page.get_by_label("Secret access key").fill("x" * 40)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("InvalidSignature")
    page.close()


def test_a_query_shows_its_rows_and_only_those_in_sight_are_drawn(tab: Tab) -> None:
    assert "CREATE TABLE" in (
        tab.run("create table seen (id int primary key)").text_content() or ""
    )
    expect(tab.page.locator("aside")).to_contain_text("seen")
    tab.run("select n, 'v' || n as v, null as nothing from generate_series(1, 12000) n")
    outcome = tab.page.locator(".outcome")
    expect(outcome.get_by_role("status")).to_contain_text("10,000 rows")
    expect(outcome).to_contain_text("only the first 10,000 are shown")
    assert tab.page.locator(".grid-row").count() < 100
    tab.page.locator(".grid").evaluate("grid => grid.scrollTo(0, grid.scrollHeight)")
    expect(tab.page.locator(".grid")).to_contain_text("v10000")


def test_an_error_is_marked_where_it_is(tab: Tab) -> None:
    outcome = tab.run("select 1,\n  '😀', nonsense from generate_series(1, 2)")
    expect(outcome).to_contain_text('42703 column "nonsense" does not exist')
    expect(outcome).to_contain_text("Line 2, column 9")
    expect(tab.page.locator(".error-mark")).to_have_text("nonsense")


def test_a_plan_is_a_tree(tab: Tab) -> None:
    tab.run(
        "select * from generate_series(1, 1000) a join generate_series(1, 10) b on a = b", "Analyze"
    )
    tree = tab.page.get_by_role("tree")
    assert tree.get_by_role("treeitem").count() >= 3
    expect(tree.get_by_role("treeitem").first).to_contain_text("10 rows")


def test_of_two_tabs_the_later_commit_meets_a_conflict(
    tab: Tab, context: BrowserContext, running: RunningCluster
) -> None:
    tab.run("create table account (id int primary key, sum int)")
    tab.run("insert into account values (1, 100)")
    tab.run("begin")
    tab.run("update account set sum = sum - 1 where id = 1")
    expect(tab.page.get_by_text("in transaction")).to_be_visible()
    other = Tab(context, running, "query")
    assert "UPDATE 1" in (other.run("update account set sum = 0 where id = 1").text_content() or "")
    other.page.close()
    outcome = tab.run("commit")
    expect(outcome).to_contain_text("40001")
    expect(outcome).to_contain_text("run it again")


def test_a_statement_that_runs_too_long_can_be_cancelled(tab: Tab) -> None:
    tab.page.locator(".cm-content").click()
    tab.page.keyboard.press("Control+a")
    tab.page.keyboard.insert_text("select count(*) from generate_series(1, 10000000000)")
    tab.page.keyboard.press("Control+Enter")
    tab.page.get_by_role("button", name="Cancel").click()
    expect(tab.page.locator(".outcome")).to_contain_text("57014")


def test_a_script_in_a_name_or_a_value_is_only_a_text(tab: Tab) -> None:
    script = "<img src=x onerror=document.title=1>"
    tab.run(f'create table "{script}" ("{script}" text primary key)')
    tab.run(f"""insert into "{script}" values ('{script}')""")
    tab.run(f'select * from "{script}"')
    expect(tab.page.locator(".grid")).to_contain_text(script)
    expect(tab.page.locator("aside")).to_contain_text(script)
    assert tab.page.locator("#console img:not(.brand img)").count() == 0
    assert tab.page.title() != "1"


def test_what_is_shown_to_be_pasted_runs(tab: Tab, running: RunningCluster) -> None:
    page = tab.page
    page.get_by_role("link", name="Connect").click()
    environment = os.environ | running.variables

    def shown(driver: str) -> str:
        page.get_by_role("button", name=driver, exact=True).click()
        return page.locator(".snippet code").text_content() or ""

    drivers = ("psycopg", "asyncpg", "SQLAlchemy", "Token")
    programs = [[sys.executable, "-c", shown(driver)] for driver in drivers]
    run = functools.partial(subprocess.run, env=environment, capture_output=True, text=True)
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(run, programs))
    for driver, answer in zip(drivers, answers, strict=True):
        assert answer.returncode == 0, answer.stderr
        assert ("admin" if driver != "Token" else "Action=DbConnectAdmin") in answer.stdout
    page.get_by_label("Put a token in").check()
    expect(page.locator(".snippet code")).not_to_contain_text("aws dsql")
    if shutil.which("psql"):
        text = shown("psql").rstrip() + " -Atc 'select current_user'"
        assert (
            subprocess.run(text, shell=True, capture_output=True, check=True).stdout == b"admin\n"
        )


def test_a_killed_zone_is_seen_on_the_picture(tab: Tab, running: RunningCluster) -> None:
    page = tab.page
    page.get_by_role("link", name="Topology").click()
    leads = page.locator(".zone.leads")
    expect(leads).to_have_count(1)
    az = leads.get_attribute("data-zone")
    os.kill(running.role(f"{az}.az"), signal.SIGKILL)
    expect(page.locator(".events")).to_contain_text(re.compile(f"journal of {az} (was|does)"))
    expect(page.locator(".events")).to_contain_text("leads")


def test_metrics_follow_what_is_done(tab: Tab) -> None:
    tab.page.get_by_role("link", name="Metrics").click()
    chart = tab.page.locator("figure", has_text="Connections")
    expect(chart).to_contain_text(re.compile("parked [1-9]|active [1-9]"))
    assert tab.page.locator("figure canvas").count() == 9


AXE = Path(__file__).parents[2] / "console" / "node_modules" / "axe-core" / "axe.min.js"
_VIOLATIONS = """async () => (await axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
})).violations.map(one => [one.id, one.nodes.map(node => node.html)])"""


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed (npm ci in console/)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_anybody_out(
    tab: Tab, scheme: Literal["light", "dark"]
) -> None:
    """Contrast of 4.5, names, roles, order of headings: WCAG 2.2 AA as far as a program can tell."""
    page = tab.page
    page.emulate_media(color_scheme=scheme)
    page.evaluate(AXE.read_text())

    def violations(place: str) -> object:
        return place, page.evaluate(_VIOLATIONS)

    tab.run("select n, 'a' from generate_series(1, 3) n")
    assert violations("rows") == ("rows", [])
    tab.run("select n from generate_series(1, 3) n", "Analyze")
    assert violations("plan") == ("plan", [])
    tab.run("select nonsense")
    page.get_by_role("button", name="History").click()
    assert violations("error") == ("error", [])
    for place in ("Overview", "Metrics", "Topology", "Connect", "Policy"):
        page.get_by_role("link", name=place).click()
        expect(page.locator(".card:visible").first).to_be_visible()
        assert violations(place) == (place, [])
    page.get_by_role("link", name="Clusters", exact=True).click()
    page.get_by_role("button", name="Create cluster").click()
    assert violations("dialog") == ("dialog", [])


_UNNAMED = """() => [...document.querySelectorAll("button, a, input, textarea")]
    .filter(one => !one.closest("[hidden]"))
    .filter(one => !(one.textContent.trim() || one.ariaLabel || one.labels?.length || one.title))
    .map(one => one.outerHTML)"""


def test_everything_has_a_name_and_fits_on_a_phone(tab: Tab) -> None:
    width = 390
    tab.page.set_viewport_size({"width": width, "height": 800})
    for place in ("Overview", "Query", "Metrics", "Topology", "Connect", "Policy"):
        tab.page.get_by_role("link", name=place).click()
        expect(tab.page.locator(".card:visible").first).to_be_visible()
        assert tab.page.evaluate(_UNNAMED) == []
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, place


def test_a_cluster_is_made_tagged_and_deleted(
    context: BrowserContext, running: RunningCluster
) -> None:
    page = context.new_page()
    page.goto(running.variables["AWS_ENDPOINT_URL_DSQL"] + "/console/")
    page.get_by_role("button", name="Create cluster").click()
    page.get_by_label("Name").fill("orders")
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("active")
    page.get_by_label("Key").fill("team")
    page.get_by_label("Value").fill("blue")
    page.get_by_role("button", name="Add tag").click()
    expect(page.locator(".tags")).to_contain_text("team = blue")
    delete = page.get_by_role("button", name="Delete cluster…")
    expect(delete).to_be_disabled()
    page.get_by_label("Protected from deletion").uncheck()
    delete.click()
    page.get_by_label("Type orders to confirm").fill("orders")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("heading", name="The cluster is gone")).to_be_visible()
    page.close()


def test_who_has_signed_out_is_out(
    browser: Browser, context: BrowserContext, running: RunningCluster
) -> None:
    tab = Tab(context, running, "overview")
    tab.page.get_by_role("button", name="Sign out").click()
    expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()
    tab.page.reload()
    expect(tab.page.get_by_role("heading", name="Sign in")).to_be_visible()
    tab.page.close()
