"""The plain function, called with pictures as people draw them."""

from __future__ import annotations

from pathlib import Path

import pytest
from classify import DATA, classify, prepare, sample
from PIL import Image, ImageOps

from matinee import InputError

SAMPLES = Path(__file__).parent / "samples"


@pytest.mark.parametrize(("file", "digit"), [("seven.png", 7), ("four-white-on-black.png", 4)])
def test_the_sample_pictures_are_told_right(file: str, digit: int) -> None:
    assert classify(Image.open(SAMPLES / file)).label == digit


def test_nearly_every_bundled_digit_is_told_right_from_a_picture_of_it() -> None:
    right = sum(classify(sample(index)).label == DATA.target[index] for index in range(100))
    assert right >= 95


def test_every_class_has_a_probability_and_they_sum_to_one() -> None:
    answer = classify(sample(3))
    assert sorted(answer.probabilities) == [str(digit) for digit in range(10)]
    assert sum(answer.probabilities.values()) == pytest.approx(1, abs=0.001)
    assert max(answer.probabilities, key=answer.probabilities.__getitem__) == str(answer.label)


def test_dark_on_light_and_light_on_dark_are_the_same_to_it() -> None:
    assert prepare(sample(8)) == pytest.approx(prepare(ImageOps.invert(sample(8))), abs=1)


def test_a_drawing_is_found_wherever_it_is_on_the_picture() -> None:
    sheet = Image.new("RGB", (400, 300), "white")
    sheet.paste(sample(7), (250, 20))
    assert classify(sheet).label == 7


def test_what_is_transparent_is_paper() -> None:
    drawing = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
    drawing.paste((0, 0, 0, 255), mask=ImageOps.invert(sample(7)))
    assert classify(drawing).label == 7


@pytest.mark.parametrize("colour", ["white", "black"])
def test_an_empty_picture_is_refused_at_its_field(colour: str) -> None:
    with pytest.raises(InputError, match="nothing drawn"):
        classify(Image.new("RGB", (64, 64), colour))
