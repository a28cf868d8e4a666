"""Imports go one way: crate/ knows nobody, the command line is known by nobody."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
LIBRARY = SRC / "whitebox_transformers"
CRATE = LIBRARY / "crate"
THEORY = LIBRARY / "theory"
CLI = SRC / "whitebox_transformers_cli"

# crate/ travels with checkpoints as remote code; numpy comes with every torch and Pillow image.
CRATE_MAY_IMPORT = {"huggingface_hub", "numpy", "torch", "transformers"}
DRAWERS = {"utils", "helpers", "common", "misc", "tools"}


def python_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imported(tree: ast.AST, package: str) -> Iterator[str]:
    """Absolute dotted names of every import statement below ``tree``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: -(node.level - 1) or None] if node.level else []
            yield ".".join([*parents, node.module] if node.module else parents)


def imports_of(path: Path, tree: ast.AST | None = None) -> set[str]:
    package = ".".join(path.relative_to(SRC).parent.parts)
    return set(imported(tree or ast.parse(path.read_text(encoding="utf-8")), package))


def at_module_level(path: Path) -> set[str]:
    """Imports carried out when the module is: not those in functions or under TYPE_CHECKING."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    kept = [
        node
        for node in module.body
        if not isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    return imports_of(path, ast.Module(body=kept, type_ignores=[]))


def tops(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names


@pytest.mark.parametrize("path", python_files(CRATE), ids=lambda path: path.name)
def test_crate_imports_only_its_folder_and_what_every_checkpoint_user_has(path):
    own = "whitebox_transformers.crate"
    names = at_module_level(path)
    outside = {name for name in names if not name.startswith(own)}
    assert tops(outside) <= CRATE_MAY_IMPORT
    # One folder, no nesting: Hugging Face ships exactly that with a checkpoint.
    assert all(name.count(".") <= own.count(".") + 1 for name in names - outside)


@pytest.mark.parametrize("path", python_files(CRATE), ids=lambda path: path.name)
def test_crate_names_its_own_folder_relatively(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("whitebox") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert not (node.module or "").startswith("whitebox")
        elif isinstance(node, ast.ImportFrom):
            # Hugging Face ships what stands after the dot; `from . import x` names nothing there.
            assert node.level == 1
            assert node.module


@pytest.mark.parametrize("path", python_files(THEORY), ids=lambda path: path.name)
def test_theory_imports_only_what_it_tries(path):
    own = ("whitebox_transformers.crate", "whitebox_transformers.theory")
    names = {name for name in imports_of(path) if name.startswith("whitebox_transformers")}
    assert all(name.startswith(own) or name == "whitebox_transformers.errors" for name in names)


@pytest.mark.parametrize("path", python_files(LIBRARY), ids=lambda p: str(p.relative_to(LIBRARY)))
def test_library_imports_neither_tests_nor_command_line(path):
    assert not tops(imports_of(path)) & {"tests", "whitebox_transformers_cli", "benchmarks"}


@pytest.mark.parametrize("path", python_files(CLI), ids=lambda path: path.name)
def test_command_line_loads_the_library_inside_functions(path):
    heavy = {"torch", "transformers", "numpy", "whitebox_transformers"}
    assert not tops(at_module_level(path)) & heavy


@pytest.mark.parametrize("package", [LIBRARY, CLI], ids=lambda path: path.name)
def test_no_file_is_a_drawer(package):
    names = {part for path in python_files(package) for part in path.with_suffix("").parts}
    assert not names & DRAWERS


def test_each_operator_is_defined_once():
    sources = [path.read_text(encoding="utf-8") for path in python_files(LIBRARY)]
    for definition in ("class MSSA(", "def coding_rate("):
        assert sum(source.count(definition) for source in sources) == 1, definition


def test_importing_the_library_is_silent_and_registers_the_family():
    """In a process of its own, in which every optional package is absent."""
    program = """
import sys
from importlib.machinery import PathFinder

optional = {"accelerate", "datasets", "lion_pytorch", "matplotlib", "onnx", "onnxruntime",
            "onnxscript", "PIL", "scipy", "sklearn", "tensorboard", "timm", "torchvision"}

class CoreOnly(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.partition(".")[0] in optional
        return None if hidden else PathFinder.find_spec(name, path, target)

sys.meta_path = [CoreOnly if finder is PathFinder else finder for finder in sys.meta_path]
import whitebox_transformers
from transformers import AutoModelForImageClassification
config = whitebox_transformers.CrateConfig(
    image_size=8, patch_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
model = AutoModelForImageClassification.from_config(config)
assert type(model) is whitebox_transformers.CrateForImageClassification
assert all(hasattr(whitebox_transformers, name) for name in whitebox_transformers.__all__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""
