"""Pictures by what they become: pixels have a budget, and a page's process decodes only small ones."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path
from struct import pack

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from matinee import decoding
from matinee.errors import InputError
from matinee.values.pictures import open_picture, preview

PREVIEW = """
import re, sys
from matinee.errors import MatineeError
from matinee.values.pictures import preview
try:
    print(len(preview(open(sys.argv[1], "rb").read())))
except MatineeError as error:
    print(error.message)
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""


def png(width: int, height: int) -> bytes:
    """A black PNG with an alpha channel, made without holding its pixels."""
    packer = zlib.compressobj(9)
    line = b"\0" * (1 + 4 * width)
    pixels = b"".join([*(packer.compress(line) for _ in range(height)), packer.flush()])
    chunks = ((b"IHDR", pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)), (b"IDAT", pixels), (b"IEND", b""))
    packed = (pack(">I", len(d)) + kind + d + pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def jpeg(width: int, height: int) -> bytes:
    data = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    Image.new("RGB", (width, height), "red").save(data, "JPEG", exif=exif)
    return data.getvalue()


@pytest.mark.parametrize("size", [(10_001, 10_000), (14_000, 14_000), (60_000, 60_000)])
def test_more_pixels_than_the_budget_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    header = png(1, 1)[:16] + pack(">II", *size) + png(1, 1)[24:29]
    data = header + pack(">I", zlib.crc32(header[12:29])) + png(1, 1)[33:]
    for read in (lambda: open_picture(data, "a.png", "photo"), lambda: preview(data)):
        with pytest.raises(InputError, match="more than 100,000,000 pixels"):
            read()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory that a process writes")
@pytest.mark.parametrize(
    ("data", "answer"),
    [
        pytest.param(lambda: png(9_900, 9_900), "The file needs too much memory to be read", id="390 MB of pixels"),
        pytest.param(lambda: jpeg(9_900, 9_900), r"\d+", id="a photo of 98 million pixels"),
    ],
)
def test_a_large_picture_is_made_small_in_a_child_and_costs_this_process_nothing(
    data: object, answer: str, tmp_path: Path
) -> None:
    file = tmp_path / "picture"
    file.write_bytes(data())
    command = [sys.executable, "-c", PREVIEW, str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    shown, peak_mb = run.stdout.splitlines()
    assert re.match(answer, shown), run.stderr
    assert int(peak_mb) < 80


def test_a_preview_is_upright_and_small_and_a_small_picture_is_its_own_preview() -> None:
    small, large = jpeg(60, 40), jpeg(3_000, 2_000)
    assert preview(small) is small
    assert Image.open(BytesIO(preview(large))).size == (973, 1460)


def page() -> None:
    from pathlib import Path

    from matinee.ui import render

    for name in ("large", "bomb"):
        render.picture({"$blob": "image/jpeg", "name": name, "key": name}, lambda blob: Path(blob["key"]).read_bytes())


def test_a_page_makes_a_large_picture_small_in_a_child_and_says_why_it_shows_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    decoded = []
    decode = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *args: decoded.append(args) or decode(*args))
    monkeypatch.chdir(tmp_path)
    Path("large").write_bytes(jpeg(2_600, 1_700))
    Path("bomb").write_bytes(png(11_000, 10_000))
    shown = AppTest.from_function(page).run()
    assert not shown.exception
    assert [str(args[0]) for args in decoded] == ["matinee.values.pictures"]
    assert [caption.value for caption in shown.caption] == ["is a picture of more than 100,000,000 pixels"]
