# SPDX-License-Identifier: Apache-2.0
"""How Sphinx makes the site; `make docs` runs it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from sphinx.application import Sphinx

import dssm

project = "dssm"
author = copyright = "the dssm authors"
release = dssm.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click", "docstrings", "mathml", "outputs"]
exclude_patterns = ["made", "accuracy.template.md"]

myst_enable_extensions = ["amsmath", "attrs_block", "deflist", "dollarmath"]
myst_heading_anchors = 3
default_role = "code"
smartquotes = False

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
maximum_signature_line_length = 88

html_theme = "furo"
html_title = "dssm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
# The tutorial's report is a page of its own.
html_extra_path = ["made/tutorial/runs/cells/evaluation/report.html"]


def setup(app: Sphinx) -> None:
    app.connect("source-read", _without_inference)


def _without_inference(app: Sphinx, page: str, source: list[str]) -> None:
    """The page that `make bench-inference` makes may not be there yet."""
    if page == "index" and not Path(app.srcdir, "inference.md").exists():
        source[0] = source[0].replace("\ninference\n", "\n")
