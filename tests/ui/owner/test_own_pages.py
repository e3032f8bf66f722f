"""Pages the owner wrote: ordinary Streamlit with `matinee.connect()`; what fails on one concerns no other."""

from __future__ import annotations

import os

from matinee.project.sections import Ui

HOME = """
    import matinee
    import streamlit as st

    app = matinee.connect()
    st.title("Welcome")
    st.write(f"{app.client.user} has {len(app.runs())} runs")
    name = st.text_input("Name", "Ada")
    if st.button("Plan"):
        st.success(app.plan.submit(name=name).status)
"""


def later(file) -> None:
    """Have the file look as if it was saved a second later: tests save quicker than clocks of file systems tick."""
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))


def test_a_page_has_the_app_as_who_looks_at_it_may_use_it(world, open_page, shown):
    world.release(Ui(pages=(world.page("ui.py", HOME, title="Home", is_home=True),)))
    world.who = ("bo", False)
    world.ran(1_780_000_000.0)
    page = open_page()
    assert "Welcome" in shown(page)
    assert "bo has 1 runs" in shown(page)
    page.button[0].click().run()
    assert "queued" in shown(page)
    assert [run.user for run in world.client().runs(world_query())] == ["bo", "bo"]


def world_query():
    from matinee.ports import RunQuery

    return RunQuery()


def test_pages_keep_what_is_typed_like_any_streamlit_page(world, open_page):
    world.release(Ui(pages=(world.page("ui.py", HOME, is_home=True),)))
    page = open_page()
    page.text_input[0].set_value("Grace").run()
    assert page.text_input[0].value == "Grace"


def test_a_page_takes_the_place_of_a_predictors_own(world, open_page, shown):
    mine = world.page("mine.py", "import streamlit as st\nst.title('Greet my way')", replaces="greet", title="Greet")
    world.release(Ui(pages=(mine,)))
    assert "Greet my way" in shown(open_page())
    assert "Do plan" in shown(open_page("plan"))


def test_what_a_page_raises_is_told_to_the_owner_with_its_own_lines(world, open_page, shown):
    broken = world.page("broken.py", "import streamlit as st\nst.title('Here')\n1 / 0\n")
    world.release(Ui(pages=(broken,)))
    text = shown(open_page("broken"))
    assert "Here" in text
    assert "broken.py: ZeroDivisionError: division by zero" in text
    assert 'broken.py", line 3' in text
    assert "own_pages.py" not in text
    assert "Do greet" in shown(open_page())


def test_a_user_is_told_only_that_it_does_not_work(world, open_page, shown):
    world.release(Ui(pages=(world.page("broken.py", "1 / 0\n"),)))
    world.who = ("bo", False)
    text = shown(open_page("broken"))
    assert "does not work at the moment" in text
    assert "ZeroDivisionError" not in text


def test_a_mistake_of_spelling_and_a_file_that_is_gone_are_said_too(world, open_page, shown):
    world.release(Ui(pages=(world.page("typo.py", "def f(:\n"),)))
    assert "SyntaxError" in shown(open_page("typo"))
    (world.folder / "typo.py").unlink()
    assert "No such file" in shown(open_page("typo"))


def test_our_own_errors_keep_their_words(world, open_page, shown):
    source = "import matinee\nmatinee.connect().run('nothing')\n"
    world.release(Ui(pages=(world.page("report.py", source),)))
    text = shown(open_page("report"))
    assert "There is no run" in text
    assert "Traceback" not in text


def test_a_saved_page_and_a_saved_module_beside_it_are_read_anew(world, open_page, shown):
    (world.folder / "beside_the_page.py").write_text("WORD = 'one'\n")
    source = "import streamlit as st\nfrom beside_the_page import WORD\nst.title(WORD)\n"
    world.release(Ui(pages=(world.page("report.py", source),)))
    page = open_page("report")
    assert "one" in shown(page)
    (world.folder / "beside_the_page.py").write_text("WORD = 'two'\n")
    later(world.folder / "beside_the_page.py")
    assert "two" in shown(page.run())
    (world.folder / "report.py").write_text("import streamlit as st\nst.title('three')\n")
    later(world.folder / "report.py")
    assert "three" in shown(page.run())


def test_a_page_at_the_address_of_another_gets_its_own(world, open_page, shown):
    for name in ("history.py", "greet.py"):
        world.release(Ui(pages=(world.page(name, "import streamlit as st\nst.title('Mine')"),)))
        assert "Mine" in shown(open_page(name.replace(".py", "-page")))
        assert "Mine" not in shown(open_page(name.removesuffix(".py")))


def test_stop_and_rerun_work_as_they_do_everywhere(world, open_page, shown):
    source = """
        import streamlit as st
        if "again" not in st.session_state:
            st.session_state.again = True
            st.rerun()
        st.title("Second")
        st.stop()
        st.title("Never")
    """
    world.release(Ui(pages=(world.page("report.py", source),)))
    text = shown(open_page("report"))
    assert "Second" in text
    assert "Never" not in text
