"""What of the framework goes into images is decided for each of its folders, in one list."""

from __future__ import annotations

from matinee.project.content import (
    EVERYWHERE,
    FRAMEWORK,
    NOWHERE,
    PACKAGE,
    UI_ONLY,
    framework_files,
    ui_framework_files,
)


def test_every_folder_is_decided_and_none_that_is_gone() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {name for name in FRAMEWORK if not name.endswith(".py")} == folders
    assert set(FRAMEWORK.values()) == {EVERYWHERE, UI_ONLY, NOWHERE}


def test_images_hold_what_the_list_says() -> None:
    component = {name.split("/")[0] for name, _ in framework_files() if "/" in name}
    ui = {name.split("/")[0] for name, _ in ui_framework_files() if "/" in name}
    assert component == {name for name, place in FRAMEWORK.items() if place == EVERYWHERE}
    assert ui == {name for name, place in FRAMEWORK.items() if place != NOWHERE}
