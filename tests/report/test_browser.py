# SPDX-License-Identifier: Apache-2.0
"""The report as a person uses it, in a headless browser: no error, no message on the console, no request."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dssm.data import GOOD
from dssm.detector import Evaluation
from dssm.scores import normalise

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
Opener = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("NO BROWSER: the package playwright is not installed")
    found = os.environ.get("DSSM_TEST_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"NO BROWSER: none of {', '.join(BROWSERS)} is installed; DSSM_TEST_BROWSER may name one")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found)
        yield opened
        opened.close()


@pytest.fixture
def open_report(browser: Browser) -> Iterator[Opener]:
    """Open a report; whatever the browser complains of or asks the network for fails the test in the end."""
    complaints: list[str] = []
    contexts = []

    def opener(path: Path, **context: Any) -> Page:
        contexts.append(browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **context}))
        page = contexts[-1].new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: complaints.append(request.url) if foreign(request.url) else None)
        page.goto(path.as_uri())
        page.locator("#panels img[src]").first.wait_for()
        return page

    def foreign(url: str) -> bool:
        return not url.startswith(("file:", "data:image/jpeg"))

    yield opener
    for context in contexts:
        context.close()
    assert complaints == []


def settle(page: Page) -> None:
    """Wait until the page shows its state."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.evaluate("loading.picture.then(() => null)")


def confusion(page: Page) -> dict[str, int]:
    settle(page)
    cells = page.locator("#confusion button")
    return {cell.get_attribute("data-wish"): int(cell.locator("b").inner_text()) for cell in cells.all()}


def expected_confusion(evaluation: Evaluation, threshold: float) -> dict[str, int]:
    counts = dict.fromkeys(["passed", "false alarms", "missed", "found"], 0)
    for sample, prediction in zip(evaluation.samples, evaluation.predictions, strict=True):
        anomalous = prediction.score > threshold
        counts[("false alarms" if anomalous else "passed") if sample.good else "found" if anomalous else "missed"] += 1
    return counts


def names(page: Page) -> list[str]:
    settle(page)
    return page.locator("#scroll tbody button").all_inner_texts()


def selected(page: Page) -> str:
    settle(page)
    return page.locator("#name").inner_text()


def painted(page: Page, canvas: str) -> float:
    """The share of a canvas that is not transparent."""
    settle(page)
    return page.evaluate(
        """(id) => {
          const canvas = document.getElementById(id);
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
          copy.drawImage(canvas, 0, 0);
          const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value, i) => i % 4 === 3 && value > 0).length / (data.length / 4);
        }""",
        canvas,
    )


def test_counts_follow_a_threshold_that_is_typed(open_report: Opener, evaluated: Path, evaluation: Evaluation) -> None:
    page = open_report(evaluated)
    assert confusion(page) == expected_confusion(evaluation, 10.0)
    for threshold in (-1.0, 1.0, 9.0, 9.4999, 10.0, 10.25, 14.0, 30.0, 1e9):
        page.get_by_label("Threshold", exact=True).fill(str(threshold))
        assert confusion(page) == expected_confusion(evaluation, threshold)


def test_counts_follow_the_slider(open_report: Opener, evaluated: Path, evaluation: Evaluation) -> None:
    page = open_report(evaluated)
    slider = page.get_by_label("Threshold of the image score")
    box = slider.bounding_box()
    seen = set()
    for share in (0.2, 0.5, 0.8):
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        counts = confusion(page)
        threshold = page.evaluate("state.threshold")
        assert counts == expected_confusion(evaluation, threshold)
        # The thumb is where the pointer is, and so is the score on the axis.
        assert page.evaluate("axis.position(state.threshold)") == pytest.approx(share, abs=0.03)
        seen.add(tuple(counts.values()))
    assert len(seen) == 3
    slider.press("Home")
    assert confusion(page) == {"passed": 0, "false alarms": 10, "missed": 0, "found": 10}
    slider.press("End")
    assert confusion(page) == {"passed": 10, "false alarms": 0, "missed": 10, "found": 0}
    page.get_by_role("button", name="Back to 10").click()
    assert confusion(page) == expected_confusion(evaluation, 10.0)
    assert page.locator("#kinds td[data-kind=dent]").inner_text().startswith("2 of 3, 66.7")


def test_normalised_scores_follow_the_threshold(open_report: Opener, evaluated: Path, evaluation: Evaluation) -> None:
    page = open_report(evaluated)
    scores = sorted((prediction.score for prediction in evaluation.predictions), reverse=True)
    for threshold in (10.0, 20.0, 5.0):  # 5 is typical of good images
        page.get_by_label("Threshold", exact=True).fill(str(threshold))
        settle(page)
        cells = page.locator("#scroll tbody td:nth-child(4)").all_inner_texts()
        assert cells == [f"{normalise(score, threshold, 5.0):.3f}" for score in scores]
    assert "(0.1)" in page.locator("#scale").inner_text()
    assert "(0.9)" in page.locator("#scale").inner_text()


def test_sorting_and_filtering(open_report: Opener, evaluated: Path, evaluation: Evaluation) -> None:
    page = open_report(evaluated)
    root = evaluation.samples[5].path.parent
    by_score = sorted(zip(evaluation.samples, evaluation.predictions, strict=True), key=lambda pair: -pair[1].score)
    expected = [str(sample.path.relative_to(root)) for sample, _ in by_score]
    assert names(page) == expected
    page.locator("#scroll th").get_by_role("button", name="score").click()
    assert names(page) == expected[::-1]
    assert page.locator("th[aria-sort=ascending]").inner_text() == "score"

    page.locator("#show").select_option("wrong")
    wrong = [s.path for s, p in by_score if s.good == p.anomalous]
    assert len(names(page)) == len(wrong) == 5
    page.locator("#kind").select_option(GOOD)
    assert names(page) == [path.name for path in wrong if "image 8" in path.name or "image 9" in path.name][::-1]
    page.locator("#kind").select_option("")
    page.locator("#confusion").get_by_role("button", name="missed").click()
    assert len(names(page)) == 3
    assert page.locator("#matches").inner_text() == "3 of 20"
    page.locator("#confusion").get_by_role("button", name="missed").click()
    page.get_by_label("Find").fill("东")
    assert names(page) == []
    page.get_by_label("Find").fill("東京")
    assert names(page) == ["ü ß 東京.png"]


def test_names_are_text(open_report: Opener, evaluated: Path) -> None:
    page = open_report(evaluated)
    page.get_by_label("Find").fill("hacked")
    assert names(page) == ["<img src=x onerror=hacked=1>.png", "a</script><script>hacked=1.png"]
    for name in names(page):
        page.get_by_role("button", name=name, exact=True).click()
        assert selected(page) == name
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("#scroll img").count() == 0


def test_keys(open_report: Opener, evaluated: Path) -> None:
    page = open_report(evaluated)
    order = names(page)
    assert selected(page) == order[0]
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert selected(page) == order[2]
    page.keyboard.press("k")
    assert selected(page) == order[1]
    page.get_by_role("button", name=order[5], exact=True).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    assert selected(page) == order[6]
    assert page.evaluate("document.activeElement.textContent") == order[6]

    page.keyboard.press("+")
    assert page.evaluate("state.threshold") > 10
    page.keyboard.press("-")
    page.keyboard.press("-")
    assert page.evaluate("state.threshold") < 10
    page.keyboard.press("r")
    assert page.evaluate("state.threshold") == 10

    page.keyboard.press("f")
    page.keyboard.type("jkr")
    assert page.get_by_label("Find").input_value() == "jkr"
    assert selected(page) == order[6]
    page.get_by_label("Find").fill("image")
    page.keyboard.press("Escape")
    assert page.get_by_label("Find").input_value() == "image"
    assert len(names(page)) == 16
    page.keyboard.press("k")
    assert selected(page) == order[5]
    page.keyboard.press("?")
    assert page.locator("#help dl").is_visible()
    page.keyboard.press("z")
    assert page.locator("#enlarge").get_attribute("aria-pressed") == "true"


def test_the_mask_follows_the_pixel_threshold(open_report: Opener, evaluated: Path, evaluation: Evaluation) -> None:
    page = open_report(evaluated)
    page.get_by_role("button", name="image 19.png", exact=True).click()  # a dent: nobody marked it
    assert selected(page) == "image 19.png"
    for threshold in (2.0, 4.0):
        page.get_by_label("Pixel threshold as a number").fill(str(threshold))
        share = float(np.mean(evaluation.predictions[19].map > threshold))
        assert painted(page, "mask") == pytest.approx(share, abs=0.01)
        shown = re.search(r"([\d.]+)\s%", page.locator("#area").inner_text())
        assert float(shown[1]) == pytest.approx(100 * share, abs=1)
    page.locator("#pixel-slider").press("Home")  # what is typical of good images: half of the noise lies above
    assert 0.5 < painted(page, "mask") < 0.7


def test_the_outline_of_the_truth_stays(open_report: Opener, evaluated: Path) -> None:
    page = open_report(evaluated)
    assert selected(page) == "image 16.png"
    assert page.locator("#marked").is_visible()
    page.get_by_label("Pixel threshold as a number").fill("50")
    assert 0.01 < painted(page, "mask") < 0.05


def test_heat_follows_the_opacity(open_report: Opener, evaluated: Path) -> None:
    page = open_report(evaluated)
    assert painted(page, "heat") > 0.5
    page.get_by_label("Opacity").press("Home")
    assert painted(page, "heat") == 0


def test_an_image_without_a_picture_says_so(open_report: Opener, evaluated: Path) -> None:
    page = open_report(evaluated)
    page.locator("#scroll tbody button").last.click()
    assert "19 images" in page.locator("#without").inner_text()
    page.locator("#panels").wait_for(state="hidden")
    page.locator("#previous").click()
    page.locator("#panels").wait_for(state="visible")


def test_predictions_without_truth(open_report: Opener, predicted: Path, evaluation: Evaluation) -> None:
    page = open_report(predicted)
    for threshold in (10.0, 3.0):
        page.get_by_label("Threshold", exact=True).fill(str(threshold))
        anomalous = sum(prediction.score > threshold for prediction in evaluation.predictions)
        assert confusion(page) == {"judged good": 20 - anomalous, "judged anomalous": anomalous}
    assert page.locator("#scroll th").all_inner_texts() == ["image", "score", "normalised", "verdict"]
    assert page.locator("#kind").is_hidden()
    assert page.locator("#per-kind").is_hidden()
    assert "in truth" not in page.locator("#verdict").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_can_be_read(open_report: Opener, evaluated: Path, scheme: str) -> None:
    page = open_report(evaluated, color_scheme=scheme)

    def lightness() -> float:
        return luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    for dark in (scheme == "dark", scheme != "dark"):
        assert (lightness() < 0.1) == dark
        for selector in ("#title", "#subtitle", "#axis", "#scroll .good", "#scroll .bad", "figcaption", "#matches"):
            ink = page.locator(selector).first.evaluate("(element) => getComputedStyle(element).color")
            paper = page.locator("section").first.evaluate("(element) => getComputedStyle(element).backgroundColor")
            pair = sorted([luminance(ink), luminance(paper)])
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, selector
        page.locator("#theme").click()


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)" by the web's guidelines on contrast."""
    channels = np.array([float(value) for value in re.findall(r"[\d.]+", colour)[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_scrolls_down_only(open_report: Opener, evaluated: Path, predicted: Path, width: int) -> None:
    for path in (evaluated, predicted):
        page = open_report(path, viewport={"width": width, "height": 740}, has_touch=True, is_mobile=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        before = selected(page)
        page.locator("#next").tap()
        assert selected(page) != before
        assert page.locator("#next").bounding_box()["height"] >= 30


def test_every_control_has_a_name(open_report: Opener, evaluated: Path) -> None:
    page = open_report(evaluated)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, img:not([alt=""])')].filter((control) =>
          !(control.textContent.trim() || control.getAttribute('aria-label') || control.alt || control.labels?.length)
        ).map((control) => control.outerHTML)"""
    )
    assert nameless == []
