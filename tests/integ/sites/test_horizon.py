"""Debian's Horizon, unmodified, against the hub, driven in a browser: a user
of hkg logs in, chooses among the regions, sees the servers of all sites as one
list, page by page, and launches and deletes a server in the region of another
site."""

import contextlib
import uuid

import pytest

import rig

if not rig.FULL:
    pytest.skip("a browser is driven in full alone", allow_module_level=True)

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.chrome.options import Options  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

from test_identity import by, password, token  # noqa: E402

URL = "http://127.0.0.1:8080"
SITES = ["hkg", "lon"]  # Where shop acts.
SUBNETS = {"hkg": "10.11.0.", "lon": "10.21.0."}  # Of shop-net.
SEEDED = ["web-1", "web-2", "web-3", "db-1", "db-2", "cache-1"]
SECONDS = 120  # For any one thing, on a machine that has more to do.
OPTIONS = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage",
           "--disable-gpu", "--window-size=1600,1400", "--no-proxy-server",
           "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def horizon():
    """Left as it was found."""
    was_up = rig.Daemon(rig.DEMO, "horizon").pid()
    if not was_up:
        rig.demo("horizon")
    yield
    if not was_up:
        rig.demo("horizon", "stop")


@pytest.fixture(scope="module")
def page(horizon):
    """A browser in which shop-dev is logged in."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for option in OPTIONS:
        options.add_argument(option)
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"),
                              options=options)
    try:
        driver.set_page_load_timeout(2 * SECONDS)
        page = Page(driver)
        page.log_in("shop-dev", "hkg")
        yield page
    finally:
        driver.quit()


class Page:
    """What the browser shows."""

    def __init__(self, driver):
        self.driver = driver

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def find(self, css, text=None):
        """The first that is visible; with a text, the first that reads so."""
        for element in self.all(css):
            if element.is_displayed() and \
                    text in (None, element.text.strip()):
                return element
        return None

    def one(self, css, text=None):
        """As soon as it is there."""
        return self.wait(lambda _: self.find(css, text),
                         "%s %s" % (css, text or ""))

    def wait(self, condition, what, seconds=SECONDS):
        return WebDriverWait(
            self.driver, seconds, 0.2,
            [StaleElementReferenceException]).until(condition, what)

    def click(self, css, text=None):
        """Again if it is replaced just before."""
        def clicked(_):
            element = self.find(css, text)
            if element:
                element.click()
            return element
        self.wait(clicked, "%s %s" % (css, text or ""))

    def be_quiet(self):
        """Until nothing is asked in the background: each answer writes the
        session as its request found it, and with it the region."""
        self.wait(lambda driver: driver.execute_script(
            "return !(window.jQuery && jQuery.active) && !(window.angular &&"
            " angular.element(document.body).injector().get('$http')"
            ".pendingRequests.length)"), "a quiet page")

    def open(self, path):
        self.be_quiet()
        self.driver.get(URL + path)
        assert self.errors() == []

    def errors(self):
        """What Horizon complains about: a service that answered wrongly."""
        return [element.text for element in
                self.all(".alert-danger, .alert-warning")
                if element.is_displayed()]

    def log_in(self, user, domain):
        self.driver.get(URL + "/auth/login/")
        self.one("#id_domain").send_keys(domain)
        self.one("#id_username").send_keys(user)
        self.one("#id_password").send_keys(password(domain, user))
        self.click("#loginBtn")
        self.one(".context-overview")

    def context(self):
        """Domain, project, region."""
        return [element.text for element in
                self.all(".context-overview .context-domain, "
                         ".context-overview .context-project, "
                         ".context-overview .context-region")]

    def regions(self):
        """As the selector offers them."""
        self.click(".context-overview")
        found = [element.text.strip() for element in
                 self.all("a[href*='/switch_services_region/']")]
        self.click(".context-overview")
        return found

    def switch(self, region):
        if self.context()[-1:] == [region]:
            return
        self.open("/project/api_access/")
        self.click(".context-overview")
        self.click("a[href*='/switch_services_region/%s/']" % region)
        self.wait(lambda _: self.context()[-1:] == [region], "in " + region)
        assert self.errors() == []

    def visit(self, region, path):
        self.switch(region)
        self.open(path)
        assert self.context() == ["hkg", "shop", region]

    def instances(self, region):
        self.visit(region, "/project/instances/")

    def rows(self):
        """Of the table of servers: id -> texts by column. Read at once, for
        Horizon replaces rows while it waits for them to change."""
        names, rows = self.driver.execute_script("""
            const texts = (from, css) => Array.from(
                from.querySelectorAll(css), cell => cell.innerText.trim());
            const table = document.querySelector("#instances");
            return table ? [texts(table, "thead tr:last-of-type th"),
                Array.from(table.querySelectorAll("tbody tr[data-object-id]"),
                    row => [row.dataset.objectId, texts(row, "td")])]
                : [[], []];""")
        return {id: dict(zip(names, cells)) for id, cells in rows}

    def walk(self, to="marker"):
        """The rows of this page and those behind, or before."""
        found = dict(self.rows())
        while True:
            links = self.all("#instances a[href^='?%s=']" % to)
            if not links:
                return found
            self.driver.get(links[0].get_attribute("href"))
            assert self.errors() == []
            more = self.rows()
            assert more and not set(more) & set(found)
            found.update(more)

    def page_size(self, rows):
        self.open("/settings/")
        field = self.one("#id_pagesize")
        field.clear()
        field.send_keys(str(rows))
        self.click("input[type=submit]")
        self.one(".alert-success")


def servers(site):
    """Id -> row, newest first."""
    status, body = by(token()[0], site, "compute", "/v2.1/servers/detail")
    assert status == 200, body
    return {row["id"]: row for row in body["servers"]}


class Watched:
    """What is there at sites all the while; others may come and go."""

    def __init__(self, *sites):
        self.sites = sites
        self.before = self.ask()

    def ask(self):
        return {id: (site, row) for site in self.sites
                for id, row in servers(site).items()}

    def rows(self, shown):
        """Id -> site, row, of those that must be shown, and are."""
        after = self.ask()
        assert set(shown) <= set(self.before) | set(after)
        steady = {id: self.before[id] for id in set(self.before) & set(after)}
        assert {site for site, _ in steady.values()} == set(self.sites)
        assert set(steady) <= set(shown)
        return steady


def test_log_in(page):
    assert page.errors() == []
    assert page.context() == ["hkg", "shop", "hkg"]
    assert page.all("a[href='/project/instances/']")


def test_regions(page):
    assert page.regions() == ["global", *SITES]
    for region in ["global", "lon", "hkg"]:
        page.visit(region, "/project/networks/")


@pytest.mark.parametrize("region", SITES)
def test_instances_of_a_site(page, region):
    page.instances(region)
    watched = Watched(region)
    found = page.walk()
    for id, (_, row) in watched.rows(found).items():
        assert found[id]["Instance Name"] == row["name"]


def test_instances_of_all(page):
    page.instances("global")
    watched = Watched(*SITES)
    found = page.walk()
    for id, (site, row) in watched.rows(found).items():
        assert found[id]["Instance Name"] == row["name"]
        if row["name"] in SEEDED:
            assert found[id]["Availability Zone"] == site
            assert found[id]["Image Name"] in ("debian-12", "ubuntu-22.04")
            assert found[id]["Flavor"].startswith("m1.")
            assert SUBNETS[site] in found[id]["IP Address"]


def test_pages_of_all(page):
    page.page_size(4)
    try:
        page.instances("global")
        watched = Watched(*SITES)
        found = page.walk()
        watched.rows(found)
        watched.rows(page.walk("prev_marker") | page.walk())
    finally:
        page.page_size(20)


@pytest.mark.parametrize("region", ["global", *SITES])
def test_overview(page, region):
    watched = Watched(*SITES if region == "global" else [region])
    page.visit(region, "/project/")
    names = {element.get_attribute("textContent").strip() for element in
             page.all("#project_usage tbody a")}
    after = watched.ask()
    assert names >= {row["name"] for id, (_, row) in watched.before.items()
                     if id in after}


@pytest.mark.parametrize("path", [
    "/project/api_access/", "/project/volumes/", "/project/snapshots/",
    "/project/network_topology/", "/project/networks/", "/project/routers/",
    "/project/security_groups/", "/project/floating_ips/"])
@pytest.mark.parametrize("region", ["global", *SITES])
def test_other_panels(page, region, path):
    page.visit(region, path)
    assert page.all("tbody tr, #topologyCanvasContainer")


@pytest.mark.parametrize("path,name", [
    ("/project/images", "debian-12"), ("/project/key_pairs", "shop-deploy")])
@pytest.mark.parametrize("region", ["global", *SITES])
def test_angular_panels(page, region, path, name):
    page.visit(region, path)
    page.one("hz-resource-table td a", name)
    assert page.errors() == []


@contextlib.contextmanager
def removed(name):
    """Whatever of this name is left behind."""
    try:
        yield
    finally:
        for site in SITES:
            for id, row in servers(site).items():
                if row["name"] == name:
                    by(token()[0], site, "compute", "/v2.1/servers/" + id,
                       "DELETE")


class Wizard:
    """In which a server is described."""

    def __init__(self, page):
        self.page = page
        page.click("#instances__action_launch-ng")

    def step(self, name):
        self.page.click(".modal-dialog li a", name)

    def row(self, what):
        """Of that name or id, in the step that is open."""
        for row in self.page.all(".modal-dialog tr"):
            cells = row.find_elements(By.CSS_SELECTOR, "td")
            if row.is_displayed() and (
                    what in [cell.text.strip() for cell in cells] or
                    row.find_elements(By.CSS_SELECTOR,
                                      "input[id='%s']" % what)):
                return row
        return None

    def take(self, what):
        """It may have been taken already, where it is the only one. Rows are
        replaced while quotas and the like come in."""
        def taken(_):
            row = self.row(what)
            if not row:
                return False
            if row.find_elements(By.CSS_SELECTOR, "button.fa-arrow-down"):
                return True
            row.find_element(By.CSS_SELECTOR, "button.fa-arrow-up").click()
            return False
        self.page.wait(taken, what + " to be taken")

    def describe(self, name, zone=None):
        self.page.one(".modal-dialog input#name").send_keys(name)
        if zone:
            Select(self.page.one("#availability-zone")) \
                .select_by_visible_text(zone)

    def finish(self):
        self.page.click(".modal-dialog button.finish")
        self.page.wait(lambda _: self.page.errors() or
                       not self.page.all(".modal-dialog"),
                       "the wizard to close")
        assert self.page.errors() == []


def id_of(site, service, path, member):
    status, body = by(token()[0], site, service, path)
    assert status == 200, body
    return body[member][0]["id"]


def launch(page, name, site, zone=None):
    """The id of the row that appears. Image and network are the site's: in
    region global there is one of the same name at each."""
    image = id_of(site, "image", "/v2/images?name=debian-12", "images")
    network = id_of(site, "network", "/v2.0/networks?name=shop-net",
                    "networks")
    wizard = Wizard(page)
    wizard.describe(name, zone)
    for step, choice in [("Source", image), ("Flavor", "m1.nano"),
                         ("Networks", network)]:
        wizard.step(step)
        wizard.take(choice)
    wizard.finish()
    return page.wait(lambda _: next(
        (id for id, row in page.rows().items()
         if row["Instance Name"] == name), None), name + " in the table")


def delete(page, id):
    row = "#instances__row__%s" % id
    page.click(row + " a.dropdown-toggle")
    page.click(row + " .dropdown-menu [id$=__action_delete]")
    page.click(".modal-dialog .btn-danger")
    page.wait(lambda _: not page.all(".modal-dialog"), "the question to go")


def is_gone(page, id):
    page.open("/project/instances/")
    return id not in page.rows()


def test_launch_and_delete(page, clouds):
    name = "horizon-" + uuid.uuid4().hex[:8]
    page.instances("lon")
    with removed(name):
        id = launch(page, name, "lon")
        page.wait(lambda _: page.rows()[id]["Status"] == "Active",
                  name + " to become Active")
        row = page.rows()[id]
        assert row["Flavor"] == "m1.nano" and row["Image Name"] == "debian-12"
        assert row["IP Address"].startswith(SUBNETS["lon"])
        assert id in {row["id"] for row in clouds["lon"].rows("servers")}
        page.instances("global")
        assert page.rows()[id]["Availability Zone"] == "lon"
        page.instances("lon")
        delete(page, id)
        page.wait(lambda _: is_gone(page, id), name + " to be gone")
        assert id not in {row["id"] for row in clouds["lon"].rows("servers")}


@pytest.mark.parametrize("site", SITES)
def test_launch_in_global(page, clouds, site):
    name = "horizon-" + uuid.uuid4().hex[:8]
    page.instances("global")
    with removed(name):
        id = launch(page, name, site, site)
        page.wait(lambda _: page.rows()[id]["Status"] == "Active",
                  name + " to become Active")
        assert page.rows()[id]["Availability Zone"] == site
        assert id in {row["id"] for row in clouds[site].rows("servers")}
        delete(page, id)
        page.wait(lambda _: is_gone(page, id), name + " to be gone")
