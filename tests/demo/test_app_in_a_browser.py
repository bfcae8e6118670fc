"""The Space in a real browser, and pictures of it in runs/browser/ for a person to judge."""

import os
import shutil
import sys

import pytest

from helpers.places import ROOT, SPACES
from helpers.processes import served
from ncvqvae.data.files import write_series
from ncvqvae.data.series import to_tensors
from ncvqvae.data.ucr import load_ucr


pytestmark = pytest.mark.slow


pytest.importorskip("gradio", reason="the extra `demo` is not installed")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
ARTEFACTS = ROOT / "runs" / "browser"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture
def address(tmp_path):
    """That of the Space, served with the checkpoint inside it."""
    command = [sys.executable, "-u", str(SPACES / "ncvqvae-sampler" / "app.py")]
    environment = os.environ | {"GRADIO_TEMP_DIR": str(tmp_path / "gradio")}
    with served(command, tmp_path / "log", environment, cwd=tmp_path) as address:
        yield address


@pytest.fixture
def page(address):
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(address)
        yield page
        browser.close()


def keep(page, name):
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(600)  # what fades in or out
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: apt-get install chromium")
def test_a_visitor_generates_changes_the_class_and_reconstructs(page, tmp_path):
    expect = sync_api.expect
    expect.set_options(timeout=60_000)  # the first series take seconds on a machine that runs other tests
    generate = page.get_by_role("button", name="Generate", exact=True)
    pictures = page.get_by_role("tabpanel").locator("section:visible")
    expect(page.get_by_text("12 series in ")).to_be_visible()  # before anything is asked
    expect(pictures).to_have_count(3)
    before = pictures.first.inner_html()
    keep(page, "generate")

    page.get_by_role("combobox", name="Class").click()
    page.get_by_role("option", name="2 (point)", exact=True).click()
    generate.click()
    expect(pictures.first).to_contain_text("class 2 (point): 12 generated")
    assert pictures.first.inner_html() != before
    expect(page.get_by_role("cell", name="generated.csv")).to_be_visible()

    page.get_by_role("tab", name="Reconstruct").click()
    reconstruct = page.get_by_role("button", name="Reconstruct", exact=True)
    page.get_by_label("Numbers").fill("1, 2, 3")
    reconstruct.click()
    message = page.get_by_text("the checkpoint takes series of 150 samples, found 3 samples")
    expect(message).to_be_visible()
    keep(page, "error")
    expect(message).to_be_hidden()  # after its ten seconds

    series = to_tensors(load_ucr("GunPoint")["test"])[0][:2]
    page.get_by_label("Numbers").fill(" ".join(map(str, series[0].flatten().tolist())))
    reconstruct.click()
    expect(page.get_by_text("1 series, mean squared error ")).to_be_visible()

    page.get_by_label("Numbers").fill("")
    write_series(tmp_path / "mine.csv", series, None)
    page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.csv")
    expect(page.get_by_role("cell", name="mine.csv")).to_be_visible()
    reconstruct.click()
    expect(page.get_by_text("2 series, mean squared error ")).to_be_visible()
    expect(pictures).to_have_count(2)
    keep(page, "reconstruct")
