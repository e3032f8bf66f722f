"""What this machine has is said, and what mends the rest."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from matinee.cli.main import run as matinee
from matinee.images.engine import Engine
from matinee.operate.doctor import Finding, check_disk, check_emulation, check_python, check_uv, examine


def by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings}


def test_without_docker_all_that_dev_needs_is_there_and_the_command_succeeds(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = by_name(examine())
    assert found["Python"].ok
    assert found["uv"].ok
    assert found["uv"].detail.startswith("uv ")
    assert not found["Docker"].ok
    assert "Install Docker" in found["Docker"].mend
    assert "Emulation" not in found
    assert matinee(["doctor"]) == 0
    assert "--containers and deploy need it" in capsys.readouterr().out


def test_an_engine_that_is_there_is_named_with_its_builder(engine: Engine) -> None:
    found = by_name(examine())
    assert found["Docker"].ok
    assert engine.version in found["Docker"].detail
    assert "emulation" in found["Emulation"].mend or "binfmt" in found["Emulation"].mend or found["Emulation"].ok


def test_an_old_python_and_a_full_disk_are_refused_with_the_command(monkeypatch, capsys) -> None:
    assert check_python((3, 10)).mend == "uv python install 3.11"
    full = shutil._ntuple_diskusage(total=10**12, used=10**12, free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert not check_disk().ok
    assert "1 GB free" in check_disk().detail
    assert matinee(["doctor"]) == 1
    assert "Disk: " in capsys.readouterr().err


@pytest.mark.parametrize(("registered", "ok"), [(True, True), (False, False)])
def test_emulation_is_what_the_kernel_knows(monkeypatch, tmp_path: Path, registered: bool, ok: bool) -> None:
    monkeypatch.setattr("matinee.images.engine.BINFMT", tmp_path)
    monkeypatch.setattr("matinee.images.engine.SYSTEM", "Linux")
    if registered:
        (tmp_path / "qemu-aarch64").touch()
    finding = check_emulation(Engine("docker", "28.0", "linux/amd64"))
    assert finding.ok is ok
    assert not finding.needed
    assert ok or finding.mend.endswith("binfmt --install all")


def test_uv_that_does_not_start_says_how_it_is_installed_anew(monkeypatch) -> None:
    import subprocess

    monkeypatch.setattr(
        "matinee.environments.prepare.run_uv", lambda *_: subprocess.CompletedProcess([], 127, "", "cannot execute")
    )
    assert check_uv().mend.endswith("-m pip install --force-reinstall uv")


def test_checks_of_somebody_elses_come_last() -> None:
    account = Finding("Account", ok=True, detail="123")
    assert examine([lambda: account])[-1] == account
