"""The documentation names code that exists, and every equation names its code."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest
import yaml
from transformers import PreTrainedConfig
from typer.main import get_command

from whitebox_transformers.crate import CrateBertConfig, CrateConfig, CrateGPTConfig
from whitebox_transformers.training.recipe import recipe_from_dict
from whitebox_transformers_cli.app import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
EVERYTHING = "\n".join(PAGES.values())
MATHEMATICS = PAGES["mathematics"]

OBJECTS = sorted(set(re.findall(r"\{py:obj\}`([^`]+)`", EVERYTHING)))
DIRECTIVES = sorted(set(re.findall(r"\.\. auto\w+:: (\S+)", EVERYTHING)))
LABELS = re.findall(r"^:label: (\S+)$", MATHEMATICS, flags=re.MULTILINE)

INHERITED = {field.name for field in dataclasses.fields(PreTrainedConfig)}
OWN_FIELDS = [
    (config, field.name)
    for config in (CrateConfig, CrateGPTConfig, CrateBertConfig)
    for field in dataclasses.fields(config)
    if field.name not in INHERITED and not field.name.startswith("_")
]


def resolve(name: str) -> object:
    """The object behind a dotted name: the longest importable prefix, then attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("name", sorted({*OBJECTS, *DIRECTIVES}))
def test_named_code_exists_and_is_documented(name):
    assert resolve(name).__doc__


@pytest.mark.parametrize("name", OBJECTS)
def test_linked_code_is_in_the_reference(name):
    module, _, last = name.rpartition(".")
    section = PAGES["api"].partition(f":: {module}\n")[2].partition("\n.. ")[0]
    assert (
        name in PAGES["api"]
        or re.search(rf"\b{last}\b", section)
        or section.endswith(":members:\n")
    )


def test_labels_are_unique():
    assert len(LABELS) == len(set(LABELS))
    assert len(LABELS) > 10


@pytest.mark.parametrize("label", LABELS)
def test_equation_names_its_code(label):
    """Between an equation and the next stands a line that begins with *Code:* and has a link."""
    after = MATHEMATICS.partition(f":label: {label}\n")[2].partition(":label:")[0]
    assert re.search(r"^\*Code:\*.*\{py:obj\}`", after, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("label", sorted(set(re.findall(r"\{eq\}`([^`]+)`", EVERYTHING))))
def test_referenced_equation_exists(label):
    assert label in LABELS


@pytest.mark.parametrize("page", sorted(set(re.findall(r"\{doc\}`([^`]+)`", EVERYTHING))))
def test_referenced_page_exists(page):
    assert page in PAGES


def test_every_page_is_in_a_table_of_contents():
    for page in PAGES:
        assert page == "index" or re.search(rf"^{page}$", PAGES["index"], flags=re.MULTILINE)


@pytest.mark.parametrize(("config", "name"), OWN_FIELDS)
def test_every_field_of_the_configurations_is_explained(config, name):
    """In the class that has it or in one of ours that it extends, all of which the page shows."""
    ours = [base for base in config.__mro__ if base.__module__.startswith("whitebox_transformers")]
    explained = "\n".join(base.__doc__ or "" for base in ours)
    assert re.search(rf"^\s*{name}: ", explained, flags=re.MULTILINE)
    shown = re.findall(r"\.\. autoclass:: (\S+)", PAGES["configuration"])
    assert {f"{base.__module__}.{base.__name__}" for base in ours} <= set(shown)


@pytest.mark.parametrize("name", get_command(app).commands)
def test_every_command_and_option_has_its_place(name):
    entry = re.search(rf"^`wbt {name}\b([^`]*)`", PAGES["commands"], flags=re.MULTILINE)
    assert entry, f"docs/commands.md has no entry for wbt {name}"
    options = [
        option
        for parameter in get_command(app).commands[name].params
        for option in parameter.opts
        if option.startswith("--") and option != "--help"
    ]
    assert set(re.findall(r"--[a-z0-9-]+", entry[1])) == set(options)


def test_recipe_of_the_tutorial_loads():
    block = re.search(r"```yaml\n(.*?)```", PAGES["tutorial_own_images"], flags=re.DOTALL)
    assert block
    assert recipe_from_dict(yaml.safe_load(block[1])).name == "flowers"
