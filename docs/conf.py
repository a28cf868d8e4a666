"""Sphinx configuration. ``make docs`` builds with warnings as errors."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "whitebox-transformers"
author = "The whitebox-transformers contributors"
project_copyright = f"2026, {author}"
release = version_of("whitebox-transformers")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "cost_curves",
    "learning_pairs",
    "results_tables",
    "verified_statements",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "whitebox-transformers"

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
math_numfig = True
math_eqref_format = "({number})"

autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# Docstrings use single backquotes for names of code.
default_role = "code"
