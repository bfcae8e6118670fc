"""The static Space in a real browser, and pictures of it in runs/browser/ for a person to judge."""

import json
import runpy
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch

from helpers.places import MODEL_CARDS, ROOT, SPACES
from helpers.tiny import ANY_LENGTH, TINY_PRIOR
from ncvqvae import MaskGITForTimeSeriesGeneration, NCVQVAEConfig, NCVQVAEModel
from ncvqvae.inference import load_checkpoint
from ncvqvae.models import masking


pytestmark = pytest.mark.slow

pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
SPACE, ARTEFACTS = SPACES / "ncvqvae-browser", ROOT / "runs" / "browser"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


# The heights of the points of lines.
HEIGHTS = "lines => lines.map((line) => line.getAttribute('points').split(' ').map((point) => point.split(',')[1]))"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    if CHROMIUM is None or shutil.which("npm") is None:
        pytest.skip("chromium or npm is not installed")
    build = runpy.run_path(str(SPACE / "build.py"))
    try:
        build["fetch_runtime"](SPACE / "vendor")
    except build["subprocess"].CalledProcessError:
        pytest.skip("npm cannot fetch onnxruntime-web here")
    folder = tmp_path_factory.mktemp("page") / "page"
    shutil.copytree(SPACE, folder, ignore=shutil.ignore_patterns("models"))
    build["add_checkpoint"](MODEL_CARDS / "ncvqvae-gunPoint", folder / "models")
    torch.manual_seed(0)
    tokenizer = NCVQVAEModel(NCVQVAEConfig(**(ANY_LENGTH | {"length": 24, "num_channels": 3, "scale_each": False})))
    own = MaskGITForTimeSeriesGeneration.from_tokenizer(tokenizer, **TINY_PRIOR).eval()
    own.save_pretrained(folder.parent / "ncvqvae-own")
    build["add_checkpoint"](folder.parent / "ncvqvae-own", folder / "models")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture
def open_page(address):
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)

        def opened(width, scheme="light", path=""):
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.set_default_timeout(120_000)
            page.faults = []
            page.on("pageerror", lambda error: page.faults.append(str(error)))
            page.goto(address + path)
            return page

        yield opened
        browser.close()


def ready(page):
    page.wait_for_function("document.body.dataset.ready")
    return int(page.evaluate("document.body.dataset.ready"))


def keep(page, name):
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_visitor_generates_draws_redraws_and_is_told_what_is_wrong(open_page, width, scheme):
    page = open_page(width, scheme)
    pictured = int(page.wait_for_function("document.body.dataset.pictured").json_value())
    generated = ready(page)
    print(f"first picture after {pictured} ms, first generated series after {generated} ms")
    assert pictured < generated  # real series are drawn while the model loads
    status, lines = page.locator("#status"), page.locator("#samples polyline")
    sync_api.expect(status).to_contain_text("6 series of class 1 (gun)")
    assert lines.count() == 12 + 6 and page.locator("#codes span").count() == 57
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#class").select_option(label="2 (point)")
    sync_api.expect(status).to_contain_text("6 series of class 2 (point)")

    box = page.locator("#yours")
    box.scroll_into_view_if_needed()
    area = box.bounding_box()
    page.mouse.move(area["x"] + 0.1 * area["width"], area["y"] + 0.7 * area["height"])
    page.mouse.down()
    for part in range(1, 10):
        height = 0.2 if 3 < part < 7 else 0.7
        page.mouse.move(area["x"] + (0.1 + 0.09 * part) * area["width"], area["y"] + height * area["height"], steps=4)
    page.mouse.up()
    sync_api.expect(status).to_contain_text("Your series became 57 codes")
    assert page.locator("#yours polyline").count() == 2
    page.get_by_role("button", name="Draw the second half anew").click()
    sync_api.expect(status).to_contain_text("drawn anew as class 2 (point)")
    assert page.locator("#your-codes .new").count() == 28
    keep(page, f"page-{width}-{scheme}")

    page.get_by_label("Or paste its numbers").fill("1, 2, x")
    page.get_by_role("button", name="Show").click()
    sync_api.expect(status).to_have_text('"x" is not a number')
    page.get_by_label("Seed").fill("2.5")
    page.get_by_role("button", name="Generate", exact=True).click()
    sync_api.expect(status).to_contain_text("the seed is a whole number from 0 to")
    keep(page, f"page-{width}-wrong")
    assert not page.faults


@pytest.mark.parametrize("width", [1280, 390])
def test_another_checkpoint_with_several_channels_generates_is_drawn_and_edited(open_page, width):
    page = open_page(width)
    ready(page)
    status = page.locator("#status")
    page.get_by_label("Checkpoint").select_option("own")
    sync_api.expect(status).to_contain_text("6 series of class down in")
    assert page.url.endswith("?model=own") and "series of its author's own" in page.locator("#about").inner_text()
    charts = page.locator("#samples svg")
    assert [charts.nth(one).locator("polyline").count() for one in range(charts.count())] == [6, 6, 6]  # none is real
    rows = page.locator("#codes span").evaluate_all("cells => new Set(cells.map((cell) => cell.offsetTop)).size")
    assert rows == 3 and page.locator("#over").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= width

    second = page.locator("#yours svg").nth(1)
    second.scroll_into_view_if_needed()
    area = second.bounding_box()
    page.mouse.move(area["x"] + 0.2 * area["width"], area["y"] + 0.2 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.9 * area["width"], area["y"] + 0.7 * area["height"], steps=9)
    page.mouse.up()
    sync_api.expect(status).to_contain_text("Your series became 39 codes")
    assert [len(set(line)) > 2 for line in page.locator("#yours polyline:first-of-type").evaluate_all(HEIGHTS)] == [
        False,
        True,
        False,
    ]
    page.get_by_role("button", name="Draw the second half anew").click()
    sync_api.expect(status).to_contain_text("drawn anew as class down")
    assert page.locator("#your-codes .new").count() == 3 * 6  # of 13 codes of each channel
    keep(page, f"page-{width}-channels")
    page.get_by_label("Or paste its numbers").fill("1, 2, 3")
    page.get_by_role("button", name="Show").click()
    sync_api.expect(status).to_have_text("a series has 3 channels, each in a line of its own; found 1")
    assert not page.faults


def test_a_model_that_is_not_there_is_said(open_page):
    page = open_page(390, path="/?model=none")
    sync_api.expect(page.locator("#status")).to_have_text("this page has no model none")


@pytest.mark.parametrize("order", ["low_discrepancy", "random", "confidence"])
def test_the_page_draws_what_python_draws_from_the_same_uniform_numbers(open_page, order, monkeypatch):
    drawn, plain, shifts = [], masking.uniform, torch.rand

    def noted(function):
        def note(*arguments, **options):
            numbers = function(*arguments, **options)
            drawn.extend(numbers.flatten().tolist())
            return numbers

        return note

    monkeypatch.setattr(masking, "uniform", noted(plain))
    monkeypatch.setattr(masking.torch, "rand", noted(shifts))
    model = load_checkpoint(MODEL_CARDS / "ncvqvae-gunPoint")
    settings = {"num_steps": 8, "order": order, "guidance_scale": 1.5, "guidance_schedule": "ramped"}
    made = model.generate(
        3, "2", **settings, return_codes=True, precision="no", generator=torch.Generator().manual_seed(0)
    )
    page = open_page(1280)
    ready(page)
    found = page.evaluate(
        """async ([drawn, order]) => {
          const { model } = window.ncvqvae;
          const { drawCodes } = await import("./sampler.js");
          let used = 0;
          const numbers = (count) => Float64Array.from(drawn.slice(used, (used += count)));
          const settings = { ...model.settings, numSteps: 8, order, guidanceScale: 1.5, guidanceSchedule: "ramped" };
          const codes = await drawCodes(model.predict, 1, 3, settings, numbers);
          return { codes, used, values: await model.decode(codes) };
        }""",
        [drawn, order],
    )
    assert found["used"] == len(drawn)
    assert found["codes"] == made.codes.tolist(), json.dumps(found["codes"])
    torch.testing.assert_close(torch.tensor(found["values"]), made.values, rtol=0, atol=1e-3)
