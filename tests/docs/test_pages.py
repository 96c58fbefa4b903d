# SPDX-License-Identifier: Apache-2.0
"""A code block that is broken does not pass. `make docs` runs those of the pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import DOCS, run

PAGES = run.pages()
GENERATED = {"accuracy", "accuracy.template", "performance", "roofline", "gpu_mutants"}


def test_blocks_that_do_not_run_say_why() -> None:
    found = [block for page in PAGES for block in run.blocks(page)]
    left_out = [block for block in found if block.reason]
    assert all(len(block.reason) > 10 for block in left_out)
    assert len(left_out) <= 8, "\n".join(f"{block.page.name}, line {block.line}: {block.reason}" for block in left_out)
    assert len(found) > 10 * len(left_out)


@pytest.mark.parametrize(
    "page",
    [page for page in DOCS.rglob("*.md") if "made" not in page.parts],
    ids=lambda page: str(page.relative_to(DOCS)),
)
def test_no_block_hides_behind_another_language(page: Path) -> None:
    """A fence of `sh`, say, would not be run."""
    fences = [line.strip("` ") for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("```")]
    known = {"", "python", "bash", "text", "{code-block} python", "{code-block} bash", "{toctree}", "{eval-rst}"}
    strange = {fence for fence in fences if fence not in known and not fence.startswith("{include}")}
    assert not strange
    opened = fences[::2]
    assert page.stem in GENERATED or all(opened)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("```python\nassert 1 == 2\n```", "AssertionError"),
        ("```python\nraise SystemExit\n```", "SystemExit"),
        ("```bash\nfalse | true\n```", "status 1"),
        ("```bash\ndssm train nowhere --out runs/x\n```", "nowhere"),
    ],
)
def test_a_broken_block_is_named(block: str, said: str, commands: Path, tmp_path: Path) -> None:
    page = tmp_path / "broken.md"
    page.write_text(f"# A page\n\n```bash\ntrue\n```\n\n{block}\n", encoding="utf-8")
    with pytest.raises(run.BlockError, match=rf"broken\.md, line 7: [\s\S]*{said}"):
        run.run(page, tmp_path, commands)


def test_blocks_of_a_page_share_their_names_and_their_folder(commands: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    blocks = ["python\nimport os\nx = 3", "bash\ntouch y", "python\nprint(x, os.path.exists('y'))"]
    page.write_text("".join(f"```{block}\n```\n" for block in blocks))
    assert run.run(page, tmp_path, commands) == {1: "", 5: "", 8: "3 True\n"}
