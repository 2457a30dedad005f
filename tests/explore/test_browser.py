"""The explorer in a real browser: a slider that moves changes the numbers to those of the library."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from iclab.explore import PANELS
from iclab.prompts import Gaussian
from iclab.theory import expected_risk

pytestmark = pytest.mark.slow
QUIET = ("headless=new", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking", "disable-sync")
ARROW_UP, ARROW_RIGHT = "\ue013", "\ue014"  # as browsers are told of keys
# Words of the last picture's page, and where its points are.
PROMPT = ("Drag a label", "svg:has(circle[data-example])")
# Elements inside shadow roots too, where marimo keeps its own.
FIND = """
const all = (root, wanted) => [...root.querySelectorAll("*")].flatMap(
    each => [...(each.matches(wanted) ? [each] : []), ...(each.shadowRoot ? all(each.shadowRoot, wanted) : [])]);
return all(document, arguments[0]);
"""


@pytest.fixture(scope="module")
def page():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    command = [sys.executable, "-m", "iclab", "explore", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
        for argument in QUIET:
            options.add_argument(f"--{argument}")
        browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            address = server.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            browser.get(address)
            yield browser
        finally:
            browser.quit()
            server.terminate()


def until(page, what):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(page, 600).until(what)


def number(page, name):
    found = re.search(rf"^{name} = (\S+)$", page.find_element("tag name", "body").text, re.MULTILINE)
    return float(found[1]) if found else None


def risk(n_train):
    return expected_risk(Gaussian(np.diag(1 / np.arange(1, 6))), n_train=n_train, n_test=np.inf)


def test_moving_a_slider_changes_the_number_to_that_of_the_library(page):
    until(page, lambda page: number(page, "floor") == pytest.approx(risk(20), rel=1e-5))
    page.execute_script(FIND, "[role=slider]")[2].send_keys(ARROW_RIGHT)
    until(page, lambda page: number(page, "floor") == pytest.approx(risk(40), rel=1e-5))


def least_squares(page):
    """Number in the table beside the prompt."""
    return re.findall(r"least squares (\S+)", page.find_element("tag name", "body").text)


def test_a_label_that_is_moved_changes_the_predictions(page):
    page.execute_script(FIND, "button[role=radio]")[4].click()
    before = until(page, least_squares)
    page.execute_script(FIND, "circle[data-example]")[3].send_keys(ARROW_UP)
    until(page, lambda page: least_squares(page) not in ([], before))


@pytest.mark.parametrize("width", [390, 1280], ids=["phone", "desktop"])
def test_every_picture_fits_the_page(page, width):
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 800}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    for i, (sign, pictures) in enumerate([*((panel.note, "canvas, svg.marks") for panel in PANELS), PROMPT]):
        page.execute_script(FIND, "button[role=radio]")[i].click()
        until(page, lambda page, sign=sign: sign in page.find_element("tag name", "body").text)
        shown = until(page, lambda page, pictures=pictures: page.execute_script(FIND, pictures))
        for each in [*shown, *page.execute_script(FIND, "table, select, pre, [role=slider]")]:
            box = each.rect
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        assert page.execute_script("return document.documentElement.scrollWidth") == width
