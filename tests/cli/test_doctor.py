"""`wbt doctor` finds what is wrong with an installation, without loading the library."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from whitebox_transformers_cli import health
from whitebox_transformers_cli.app import app


def findings() -> dict[str, health.Finding]:
    return {finding.subject: finding for finding in health.examine()}


def test_a_sound_installation():
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    assert "transformers" in result.output
    assert "The core works." in result.output


def test_torchvision_made_for_another_torch(monkeypatch):
    pytest.importorskip("torchvision")

    real = importlib.import_module

    def broken(name):
        if name.startswith("torchvision"):
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name)

    monkeypatch.setattr(health.importlib, "import_module", broken)
    found = findings()["torchvision"]
    assert found.blocking
    assert "nms" in found.found
    assert "pip install" in found.mend
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "torchvision: install both in one command" in result.output


@pytest.mark.parametrize(
    ("specifier", "installed", "blocking"),
    [(">=5.20,<6", "5.23.0", False), (">=5.20,<6", "4.57.1", True), (">=5.20,<6", None, True)],
)
def test_core_versions(monkeypatch, specifier, installed, blocking):
    def version(name):
        if installed is None:
            raise PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(health, "version", version)
    found = health._installed(Requirement(f"transformers{specifier}"))
    assert found.blocking is blocking
    assert ("pip install 'transformers" in found.mend) is blocking


def test_missing_extras_are_named(monkeypatch):
    real = health.version

    def version(name):
        if name == "onnxscript":
            raise PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(health, "version", version)
    found = findings()["extra export"]
    assert "onnxscript" in found.found
    assert "[export]" in found.mend
    assert not found.blocking


def test_extras_and_core_are_told_apart():
    core = {item.name for item in health._requirements("")}
    assert {"torch", "transformers", "typer"} <= core
    assert "accelerate" not in core
    assert "accelerate" in {item.name for item in health._requirements("train")}
