"""An upload is classified by scikit-learn in its own environment; the UI's process never sees scikit-learn."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EXAMPLE = "digits"
WAYS = ("", "--containers", "rehearse")
SEVEN = Path(__file__).parents[2] / "examples" / "digits" / "samples" / "seven.png"
PATIENCE_MS = 120_000  # importing scikit-learn on a busy machine


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
def test_an_uploaded_picture_is_classified_and_the_ui_never_loads_scikit_learn(open_tab, loaded_by_ui):
    page = open_tab()
    page.locator("input[type=file]").set_input_files(SEVEN)
    page.get_by_text("seven.png").wait_for()
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("Probabilities").wait_for(timeout=PATIENCE_MS)
    assert page.get_by_role("definition").inner_text().strip() == "7"
    loaded = loaded_by_ui()
    assert "sklearn" not in loaded
    assert "/scipy/" not in loaded


def test_what_is_no_picture_is_refused_in_words(open_tab, tmp_path):
    fake = tmp_path / "fake.png"
    fake.write_text("not a picture")
    page = open_tab()
    page.locator("input[type=file]").set_input_files(fake)
    page.get_by_text("fake.png").wait_for()
    page.get_by_role("button", name="Predict").click()
    page.get_by_text("Image is not ").wait_for(timeout=PATIENCE_MS)
    assert "Traceback" not in page.content()
