"""The page of many rows: paste, see what fits, choose columns, start; and what its run shows."""

from __future__ import annotations

from typing import Any

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from matinee.client.core import Client
from matinee.rows import storage
from matinee.runs import Run, Status
from matinee.ui import session


def script() -> None:
    from matinee.ui.app import main

    main()


def opened(path: str, **query: str) -> AppTest:
    page = AppTest.from_function(script, default_timeout=30)
    for name, value in query.items():
        page.query_params[name] = value
    page._page_hash = calc_hash(path)
    return page.run()


@pytest.fixture
def page(client: Client, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setattr(session, "client", lambda *_: client)
    session.poll.forget()
    found = opened("many-rows", predictor="greet")
    assert not found.exception, found.exception
    return found


def paste(page: AppTest, text: str) -> AppTest:
    page.text_area[0].set_value(text).run()
    assert not page.exception, page.exception
    return page


def texts(page: AppTest) -> str:
    kinds = (page.title, page.markdown, page.caption, page.error, page.warning, page.success, page.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind).replace("\\", "")


def newest(client: Client) -> Run:
    from matinee.ports import RunQuery

    return client.runs(RunQuery(limit=1))[0]


def test_what_fits_and_what_does_not_is_said_before_anything_starts(page: AppTest, client: Client) -> None:
    paste(page, "Name,AGE\nAda,36\nBo,young\n")
    said = texts(page)
    assert "1 of 2 rows fit; 1 does not and gets an error" in said
    assert "| 2 | AGE | must be a whole number |" in said
    (go,) = [button for button in page.button if button.key == "rows:go"]
    assert go.label == "Predict 1 row"
    assert client.backend.store.entries("greet") == [], "nothing was started"


def test_a_column_of_another_name_is_chosen(page: AppTest, client: Client) -> None:
    paste(page, "who,Past Activity\nAda,swimming\n")
    assert "No column is chosen for name" in texts(page)
    chosen = {box.label: box.value for box in page.selectbox}
    assert chosen["Past activity"] == "Past Activity"
    next(box for box in page.selectbox if box.label == "Name").set_value("who").run()
    assert "The row fits." in texts(page)
    page.button(key="rows:go").click().run()
    run = newest(client)
    upload = storage.load_upload(client.backend.files, run.inputs["$rows"]["key"])
    assert upload.mapping == {"name": "who", "past_activity": "Past Activity"}


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "{}", "name"])
def test_what_is_no_table_is_one_sentence(page: AppTest, text: str) -> None:
    paste(page, text)
    assert "The file" in texts(page)
    assert not [button for button in page.button if button.key == "rows:go"]


def test_markup_in_a_table_is_shown_as_it_is(page: AppTest) -> None:
    paste(page, "name,age\n<b>x</b>|y,**z**\n")
    assert r"\<b\>x\</b\>\|y" in "\n".join(str(m.value) for m in page.markdown)


def test_a_finished_run_offers_its_table(page: AppTest, client: Client) -> None:
    source = b"name\nAda\nBo\n"
    run = client.submit_rows("greet", source, client.check_rows("greet", source), file_name="two.csv")
    writer = storage.Writer(client.backend.files, storage.results_key(run.id))
    writer.add([{"text": "Hello", "n": 1}, ""])
    writer.add([None, "too shy"], failed=True)
    writer.flush()
    finish(client, run, {"$rows": {"key": storage.results_key(run.id), "total": 2, "failed": 1}})
    session.poll.forget()
    said = opened("run", id=run.id)
    assert not said.exception, said.exception
    assert "2 rows of two.csv" in texts(said)
    assert "1 of 2 rows have a result; 1 has an error" in texts(said)
    assert [button.proto.label for button in said.get("download_button")] == [
        "CSV",
        "CSV ;",
        "Excel",
        "Parquet",
        "JSON Lines",
    ]


def finish(client: Client, run: Run, result: Any) -> None:
    from matinee.queue.claims import finish
    from matinee.runs import succeed
    from matinee.testing.store_contract_runs import claim_next

    claimed = claim_next(client.backend.store, "w", run.created_at + 1, predictor="greet")
    assert claimed
    finish(client.backend.store, claimed[0], lambda r, _: succeed(r, result=result, now=run.created_at + 2))
    assert client.run(run.id).status is Status.SUCCEEDED


def test_a_column_of_two_readings_is_asked_with_what_each_gives(page: AppTest, client: Client) -> None:
    paste(page, "name;age\nAda;1.234\nBo;5.678\n")
    (question,) = page.radio
    assert question.label.replace("\\", "") == "How is the column age read?"
    assert [option.replace("\\", "") for option in question.options] == [
        "1.234 is 1.234, 5.678 is 5.678",
        "1.234 is 1234, 5.678 is 5678",
    ]
    assert "Column age can be read in two ways" in texts(page)
    assert next(b for b in page.button if b.key == "rows:go").disabled
    page.radio[0].set_value("comma").run()
    assert not page.exception, page.exception
    assert "All 2 rows fit." in texts(page)
    page.button(key="rows:go").click().run()
    upload = storage.load_upload(client.backend.files, newest(client).inputs["$rows"]["key"])
    assert upload.readings == {"age": "comma"}
    predictor = client.predictor("greet")
    assert upload.cells(predictor.parameters).inputs(["Ada", "1.234"]) == {"name": "Ada", "age": 1234}
