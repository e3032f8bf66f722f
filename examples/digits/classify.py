# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "pillow", "scikit-learn"]
# ///
"""Which digit is on a picture: a support vector machine on scikit-learn's bundled digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from matinee import InputError, realtime

DATA = load_digits()  # 1,797 pictures of 8 by 8 pixels, 0 (paper) to 16 (ink)
SIDE = 8
FAINTEST = 16  # of 256 grey values: less contrast is an empty sheet
FINE = 32  # the data was made from 32 by 32 bitmaps by counting the ink in blocks of 4 by 4
MODEL = CalibratedClassifierCV(SVC(gamma=0.001, C=10), ensemble=False).fit(DATA.data, DATA.target)


def sample(index: int) -> Image.Image:
    """Return one of the bundled digits as it would be scanned: dark on white."""
    grey = 255 - (DATA.images[index] * 255 / 16).astype(np.uint8)
    return Image.fromarray(grey).resize((128, 128), Image.Resampling.BICUBIC)


@dataclass
class Classification:
    """The likeliest digit, and how likely each is (0 to 1)."""

    label: int
    probabilities: dict[str, float]


@realtime(memory_mb=1024, timeout_s=30, examples=[{"image": sample(7)}, {"image": sample(4)}])
def classify(image: Image.Image) -> Classification:
    """Which digit is this?

    Dark on light or light on dark, any size; one digit a picture.
    """
    likelihoods = MODEL.predict_proba(prepare(image).reshape(1, -1))[0]
    probabilities = {str(digit): round(float(p), 4) for digit, p in enumerate(likelihoods)}
    return Classification(int(likelihoods.argmax()), probabilities)


def prepare(image: Image.Image) -> np.ndarray:
    """Return the drawing as the data has it: 8 by 8, ink 0 to 16, filling the height, in the middle."""
    ink = ink_of(image)
    drawing = ink.crop(ink.point(lambda value: 255 * (value > 64)).getbbox())
    drawing = ImageOps.contain(drawing, (FINE, FINE), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (FINE, FINE))
    sheet.paste(drawing, ((FINE - drawing.width) // 2, (FINE - drawing.height) // 2))
    return np.asarray(sheet.reduce(FINE // SIDE), dtype=float) * 16 / 255


def ink_of(image: Image.Image) -> Image.Image:
    """Return the picture in grey with the ink bright and the paper black; the border says which is which."""
    rgba = image.convert("RGBA")
    grey = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("L")
    pixels = np.asarray(grey)
    if np.ptp(pixels) < FAINTEST:
        raise InputError("image", "there is nothing drawn on it")
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return ImageOps.autocontrast(ImageOps.invert(grey) if np.median(border) > pixels.mean() else grey)
