# SPDX-License-Identifier: Apache-2.0
"""What the site makes of the project's docstrings and links."""

from __future__ import annotations

from .conftest import DOCS, load

docstrings = load(DOCS / "_ext" / "docstrings.py")
outputs = load(DOCS / "_ext" / "outputs.py")


def test_parameters_become_fields_behind_the_text() -> None:
    lines = [
        "The sum of *both*.",
        "",
        "x, y: (N,) floating. n: how many,",
        "counted from `a_`.",
        "Returns (N,).",
        "So x_.",
    ]
    assert [line for line in docstrings.restructured(lines, ["x", "y", "n"]) if line] == [
        r"The sum of \*both\*.",
        r"So x\_.",
        ":param x,y: (N,) floating.",
        ":param n: how many, counted from ``a_``.",
        ":returns: (N,).",
    ]


def test_examples_of_a_command_stay_as_they_are() -> None:
    lines = ["Score *all*.", "", "| dssm predict a/*.png   fast", "| dssm predict b", "", "The end."]
    assert [line for line in docstrings.with_examples(lines) if line] == [
        r"Score \*all\*.",
        ".. code-block:: text",
        "   dssm predict a/*.png   fast",
        "   dssm predict b",
        "The end.",
    ]


def test_an_output_stands_behind_its_block() -> None:
    page = "```bash\nls\n```\nText.\n"
    shown = outputs.with_outputs(page, {"1": "a\n```\nb\n```\n"})
    inner = "`````{code-block} text\n:class: output\n\na\n```\nb\n```\n`````"
    assert shown == f"```bash\nls\n```\n\n{inner}\nText.\n"


def test_links_out_of_the_docs_become_paths() -> None:
    assert (
        outputs.without_outside_links("[a](../x/y.py) ![p](../p.png) [b](c.md)") == "`x/y.py` ![p](../p.png) [b](c.md)"
    )
