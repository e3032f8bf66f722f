"""Files, images, sounds, tables, arrays and figures on the wire."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import pathlib
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import altair
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from PIL import Image

import matinee
from matinee.errors import InputError
from matinee.values import blobs, decode, encode, records, validate
from matinee.values.registry import MARKED, row_of_class


def decoded(annotation: Any, value: Any, read_blob: Callable[[dict], bytes] = pytest.fail) -> Any:
    return decode.decoder(annotation)(value, read_blob, "it")


def through_json(annotation: Any, value: Any) -> Any:
    sent = json.loads(json.dumps(encode.to_json(value), allow_nan=False))
    assert validate.problems(row_of_class(type(value))[0].schema, sent) == []
    return decoded(annotation, sent)


def test_a_table_keeps_its_values_and_dtypes() -> None:
    frame = pd.DataFrame(
        {
            "text": ["a", None],
            "whole": [1, 2],
            "real": [1.5, np.nan],
            "flag": [True, False],
            "maybe": pd.array([1, None], dtype="Int64"),
            "moment": pd.to_datetime(["2026-01-01 10:00", None]),
            "list": [[1], {"a": 2}],
        }
    )
    sent = encode.to_json(frame)
    assert {c["name"]: c["type"] for c in sent["$table"]} == {
        "text": "string",
        "whole": "integer",
        "real": "number",
        "flag": "boolean",
        "maybe": "integer",
        "moment": "datetime",
        "list": "json",
    }
    assert sent["rows"][1] == [None, 2, None, False, None, None, {"a": 2}]
    pd.testing.assert_frame_equal(through_json(pd.DataFrame, frame), frame, check_dtype=False)
    back = through_json(pd.DataFrame, frame).dtypes
    assert [str(back[name]) for name in ("whole", "real", "flag", "maybe")] == ["int64", "float64", "bool", "Int64"]
    assert back["moment"].kind == "M"


def test_days_in_a_table_are_dates_on_the_wire_and_datetime64_after() -> None:
    day = dt.date(2026, 1, 1)
    for column in ([day], pd.to_datetime([day])):
        sent = encode.to_json(pd.DataFrame({"day": column}))
        assert sent == {"$table": [{"name": "day", "type": "date"}], "rows": [["2026-01-01"]]}
    assert decoded(pd.DataFrame, sent)["day"].tolist() == [pd.Timestamp(day)]


def test_moments_with_a_time_zone_stay_the_same_moments() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2026-01-01 10:00"]).tz_localize("Europe/Berlin")})
    assert through_json(pd.DataFrame, frame)["at"][0] == frame["at"][0]


@pytest.mark.parametrize("value", [pd.DataFrame({"x": [np.inf, 1.0]}), np.array([[-np.inf]])])
def test_infinity_is_refused_and_never_becomes_missing(value: Any) -> None:
    with pytest.raises(InputError, match=r"^a.b: has an infinite number in the column x|^a.b: holds infinity"):
        encode.to_json({"a": {"b": value}})


def test_sparse_columns_travel_as_the_values_they_stand_for() -> None:
    dummies = pd.get_dummies(pd.DataFrame({"c": ["a", "b"]}), sparse=True, dtype=int)
    assert encode.to_json(dummies)["rows"] == [[1, 0], [0, 1]]


def test_decimals_in_a_table_keep_their_digits() -> None:
    frame = pd.DataFrame({"price": [Decimal("1.50"), None, Decimal("12345678901234567.89")]})
    sent = encode.to_json(frame)
    assert sent["$table"] == [{"name": "price", "type": "decimal"}]
    assert sent["rows"] == [["1.50"], [None], ["12345678901234567.89"]]
    assert decoded(pd.DataFrame, sent)["price"].tolist() == frame["price"].tolist()


def test_an_index_named_like_a_column_is_told_apart_from_it() -> None:
    frame = pd.DataFrame({"id": [1]}, index=pd.Index([7], name="id"))
    assert encode.to_json(frame) == {
        "$table": [{"name": "id_index", "type": "integer"}, {"name": "id", "type": "integer"}],
        "rows": [[7, 1]],
    }


@pytest.mark.parametrize(
    ("kind", "cell"),
    [("integer", "1"), ("integer", True), ("number", 2**53 + 1), ("boolean", 2), ("string", 5), ("number", "1")],
)
def test_a_cell_that_its_column_would_change_is_refused(kind: str, cell: Any) -> None:
    table = {"$table": [{"name": "n", "type": kind}], "rows": [[cell]]}
    with pytest.raises(InputError, match=f"it: has a column .* in the column n is not of the type {kind}"):
        decoded(pd.DataFrame, table)


def test_an_index_that_says_something_becomes_a_column() -> None:
    named = pd.DataFrame({"n": [1]}, index=pd.Index([7], name="id"))
    assert [c["name"] for c in encode.to_json(named)["$table"]] == ["id", "n"]
    assert [c["name"] for c in encode.to_json(pd.DataFrame({"n": [1]}, index=["a"]))["$table"]] == ["index", "n"]
    assert [c["name"] for c in encode.to_json(pd.DataFrame({"n": [1, 2]})[1:])["$table"]] == ["n"]


def test_columns_of_one_name_are_told_apart() -> None:
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert [c["name"] for c in encode.to_json(frame)["$table"]] == ["a", "a_2"]


@pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"a": []}), pd.DataFrame({"c": pd.Categorical(["x"])})])
def test_empty_and_categorical_tables_work(frame: pd.DataFrame) -> None:
    back = through_json(pd.DataFrame, frame)
    assert back.shape == frame.shape
    assert back.to_numpy().tolist() == frame.to_numpy().tolist()


def test_a_table_with_a_wrong_value_is_refused() -> None:
    table = {"$table": [{"name": "n", "type": "integer"}], "rows": [["x"]]}
    with pytest.raises(InputError, match="it: has a column whose values do not fit its type"):
        decoded(pd.DataFrame, table)


def test_arrays_keep_shape_and_the_dtype_that_was_asked_for() -> None:
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    back = through_json(npt.NDArray[np.uint8], array)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(through_json(np.ndarray, np.array([1.0, np.nan])), [1.0, np.nan])
    assert through_json(np.ndarray, np.array(["a", "b"])).tolist() == ["a", "b"]
    for lossy in ([300], [-1], [1.5], [None]):
        with pytest.raises(InputError, match="must be an array of uint8"):
            decoded(npt.NDArray[np.uint8], lossy)
    assert decoded(np.ndarray, [2**63 - 1]).tolist() == [2**63 - 1]
    with pytest.raises(InputError, match="must be an array of numbers"):
        decoded(np.ndarray, [None, 2**53 + 1])


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (pd.Timestamp("2026-01-01 10:00"), "2026-01-01T10:00:00"),
        (np.datetime64("2026-01-01T10:00:00.123456789"), "2026-01-01T10:00:00.123456789"),
        (np.datetime64("NaT"), None),
        (pd.NaT, None),
        (pd.NA, None),
        ({np.int64(1): (np.float64(2.0),)}, {"1": [2.0]}),
        (pd.Series([1, 2]), [1, 2]),
    ],
)
def test_scalars_of_libraries_become_plain(value: Any, sent: Any) -> None:
    found = encode.to_json(value)
    assert found == sent
    assert type(found) is type(sent)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK", "YCbCr", "HSV", "I;16"])
def test_an_image_travels_as_png(mode: str) -> None:
    image = Image.new(mode, (3, 2))
    sent = encode.to_json(image)
    assert (sent["$blob"], sent["name"]) == ("image/png", "image.png")
    assert through_json(Image.Image, image).size == (3, 2)


@pytest.mark.parametrize(("mode", "travels_as"), [("I", "I;16"), ("I;16", "I;16"), ("I;16B", "I;16"), ("L", "L")])
@pytest.mark.parametrize("number", [0, 200])
def test_grey_levels_stay_the_numbers_they_are(mode: str, travels_as: str, number: int) -> None:
    number *= 1 if mode == "L" else 300
    back = through_json(Image.Image, Image.new(mode, (2, 2), number))
    assert (back.mode, back.getpixel((1, 1))) == (travels_as, number)


def test_transparency_of_a_palette_stays() -> None:
    image = Image.new("PA", (1, 1))
    image.putpalette([10, 20, 30] + [0] * 765)
    image.putpixel((0, 0), (0, 77))
    assert through_json(Image.Image, image).getpixel((0, 0)) == (10, 20, 30, 77)


@pytest.mark.parametrize(("mode", "value"), [("F", 0.5), ("I", -1), ("I", 70_000), ("LAB", 0)])
def test_a_picture_whose_values_a_png_cannot_hold_is_refused_in_one_sentence(mode: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^it: is a picture of mode {mode} with .*Scale its values"):
        encode.to_json(Image.new(mode, (1, 1), value), path="it")


def photo(orientation: int = 6) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(data, "JPEG", exif=exif)
    return data.getvalue()


def test_a_photo_is_upright_for_the_function_for_its_result_and_for_the_caller() -> None:
    blob = blobs.inline_blob(photo(), "image/jpeg", "phone.jpg")
    received = decoded(Image.Image, blob)
    assert received.size == (20, 40)
    assert decoded(Image.Image, encode.to_json(received)).size == (20, 40)
    opened_by_the_function = Image.open(io.BytesIO(photo()))
    assert decoded(Image.Image, encode.to_json(opened_by_the_function)).size == (20, 40)
    assert records.from_json(MARKED["image"].schema, blob, pytest.fail).image().size == (20, 40)


def test_the_bytes_of_a_file_stay_untouched() -> None:
    sent = encode.to_json(matinee.File(photo(), "phone.jpg", "image/jpeg"))
    assert decoded(matinee.File, sent).data == photo()


def test_a_path_is_the_file_that_was_uploaded_and_never_one_of_the_server() -> None:
    with blobs.Reader(None) as read_blob:
        blob = blobs.inline_blob(b"abc", "text/plain", "../../a b.txt")
        path = decode.decoder(pathlib.Path)(blob, read_blob, "it")
        assert (path.name, path.read_bytes()) == ("a b.txt", b"abc")
        again = decode.decoder(pathlib.Path)({**blob, "name": ".."}, read_blob, "it")
        assert again.name == "file"
        assert encode.to_json(path) == {"$blob": "text/plain", "name": "a b.txt", "base64": "YWJj"}
    assert not path.exists()
    for server in ("/etc/passwd", {"path": "/etc/passwd"}):
        assert validate.problems(MARKED["file"].schema, server)
        with pytest.raises(InputError, match="it: must be a file"):
            decoded(pathlib.Path, server)


def test_a_path_that_is_no_file_is_refused_as_a_result(tmp_path: pathlib.Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=r"cannot be read as a file: .*Write the file first"):
            encode.to_json(path)


def test_a_file_that_is_not_an_image_is_refused_by_its_name() -> None:
    blob = blobs.inline_blob(b"a,b", "image/png", "notes.csv")
    with pytest.raises(InputError, match=r"it: is not an image that can be read \(notes.csv\)"):
        decoded(Image.Image, blob)


def test_broken_base64_is_refused() -> None:
    with pytest.raises(InputError, match="it: is not valid base64"):
        decoded(matinee.File, {"$blob": "text/plain", "name": "a", "base64": "a"})


def test_bytes_under_a_key_are_the_callers_to_read() -> None:
    blob = {"$blob": "text/plain", "name": "a.txt", "key": "files/a", "size_bytes": 2}
    found = decoded(matinee.File, blob, lambda asked: b"hi" if asked == blob else b"")
    assert found == matinee.File(b"hi", "a.txt", "text/plain")


def test_figures_become_pictures_or_specs() -> None:
    chart = altair.Chart(pd.DataFrame({"x": [1]})).mark_bar().encode(x="x:Q")
    sent = encode.to_json(chart)
    assert sent["$figure"] == "vega-lite"
    assert sent["spec"]["mark"]["type"] == "bar"
    assert validate.problems(MARKED["figure"].schema, sent) == []


def test_a_matplotlib_figure_becomes_a_png_and_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Figure:
        __module__ = "matplotlib.figure"
        __qualname__ = "Figure"

        def savefig(self, stream: io.BytesIO, **_: Any) -> None:
            stream.write(b"png")

    Figure.__qualname__ = "Figure"
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", type("pyplot", (), {"close": closed.append}))
    figure = Figure()
    sent = encode.to_json(figure)
    assert sent == {"$blob": "image/png", "name": "figure.png", "base64": base64.b64encode(b"png").decode()}
    assert closed == [figure]


class Files:
    """The port Files, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, key: str, data: bytes, *, media_type: str = "") -> int:
        self.kept[key] = data
        return len(data)

    def read(self, key: str) -> bytes:
        return self.kept[key]


def test_large_bytes_go_to_files_under_safe_keys_and_come_back() -> None:
    files = Files()
    put = blobs.blob_writer(files, "results/r/1", inline_limit_bytes=3)
    assert "base64" in put(b"abc", "text/plain", "small.txt")
    large = put(b"abcd", "text/plain", "../ü b.txt")
    assert large == {"$blob": "text/plain", "name": "../ü b.txt", "key": "results/r/1/0-.._ü_b.txt", "size_bytes": 4}
    assert blobs.Reader(files)(large) == b"abcd"
    assert put(b"efgh", "text/plain", "")["key"] == "results/r/1/1-file"


def test_large_payloads_go_to_files_whole() -> None:

    files = Files()
    assert blobs.store_large(files, "k", [1, 2], 5) == [1, 2]
    assert blobs.store_large(files, "k", [1, 23], 5) == {"$payload": "k"}
    assert blobs.load_payload(files, {"$payload": "k"}) == [1, 23]
    assert blobs.load_payload(files, {"$payload": 1}) == {"$payload": 1}
