"""A German Excel export of 500 rows goes in, 500 predictions come out, and Excel opens them again."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from matinee.tables.uploads import read_frame

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE_MS = 120_000
SOURCE = """
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from matinee import realtime


@dataclass
class Rent:
    per_month: Decimal
    area_seen: float
    year: int
    has_balcony: bool


@realtime
def rent(area: float, moved_in: date, balcony: bool, price: Decimal) -> Rent:
    return Rent(price * 2, area, moved_in.year, balcony)
"""


def test_500_rows_of_excel_go_in_and_500_come_back(open_tab, tmp_path):
    days = [date(1998, 1, 31) + timedelta(days=n) for n in range(500)]
    lines = [
        f"Bewohner {n};{40 + n / 10:.1f};{day:%d.%m.%Y};{('ja', 'nein')[n % 2]};{n},50" for n, day in enumerate(days)
    ]
    export = tmp_path / "Mieten.csv"
    header = "Name;Area;Moved in;Balcony;Price"
    export.write_bytes("\r\n".join([header, *(line.replace(".", ",", 1) for line in lines)]).encode("cp1252"))
    page = open_tab("many-rows?predictor=rent")
    page.locator("input[type=file]").set_input_files(export)
    page.get_by_text("All 500 rows fit.").wait_for(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Predict 500 rows").click()
    page.get_by_text("All 500 rows have a result.").wait_for(timeout=PATIENCE_MS)
    with page.expect_download() as download:
        page.get_by_role("button", name="Excel").click()
    table = read_frame(download.value.path().read_bytes())
    names = [column["name"] for column in table["$table"]]
    rows = [dict(zip(names, row, strict=True)) for row in table["rows"]]
    assert len(rows) == 500
    assert [float(row["area_seen"]) for row in rows] == [40 + n / 10 for n in range(500)]
    assert [row["year"] for row in rows] == [day.year for day in days]
    assert [row["has_balcony"] for row in rows] == [n % 2 == 0 for n in range(500)]
    assert [float(row["per_month"]) for row in rows] == [2 * (n + 0.5) for n in range(500)]
