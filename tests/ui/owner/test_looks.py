"""Theme, icon, logo and the page About."""

from __future__ import annotations

from pathlib import Path

from streamlit import config

from matinee.project.sections import Ui
from matinee.ui.pages.custom import parts
from matinee.ui.site import Look, OwnPage, apply_theme, look_of


def test_a_theme_is_put_on_for_the_whole_process_and_taken_off_again(world, open_page):
    world.release(Ui(theme="dark", primary_color="#8e24aa"))
    try:
        open_page()
        assert config.get_option("theme.base") == "dark"
        assert config.get_option("theme.light.primaryColor") == "#8e24aa"
        assert not apply_theme(look_of(world.store.release()))
    finally:
        apply_theme(Look())
    assert config.get_option("theme.base") is None


def test_an_icon_is_a_picture_of_its_own_with_nothing_in_it_that_runs():
    assert "🏊" in Look(icon="🏊").page_icon
    assert "<script" not in Look(icon="</text><script>").page_icon
    assert Look().page_icon == ""


def test_an_icon_streamlit_does_not_know_is_a_plain_one():
    icons = [OwnPage(Path("a.py"), "A", "a", icon).shown_icon for icon in ("🎲", ":material/bolt:", "what?", "")]
    assert icons == ["🎲", ":material/bolt:", ":material/article:", ":material/article:"]


def test_about_shows_the_readme_with_the_pictures_beside_it(world, open_page, shown):
    (world.folder / "README.md").write_text("# Tiny\n\nIt greets.\n\n<script>alert(1)</script>\n")
    world.release(Ui(about="README.md"))
    text = shown(open_page("about"))
    assert "It greets." in text
    (world.folder / "README.md").write_text("")
    assert "nothing to read" in shown(open_page("about"))


def test_only_pictures_of_the_apps_own_folder_are_read(tmp_path):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"")
    (tmp_path / "secret.png").write_bytes(b"")
    text = "one\n\n![a](a.png)\n\ntwo\n\n![b](../secret.png)\n\n![c](https://example.com/c.png)\n"
    found = list(parts(text, folder))
    assert [part for part in found if isinstance(part, Path)] == [folder / "a.png"]
    assert found[0] == "one"
    assert "two" in found[2]
