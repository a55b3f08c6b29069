"""The documents tell the truth: links, files, commands and flags exist, figures are those of results/, snippets run."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from src.export.bundle import write_bundle
from src.utils.image_io import write_display
from tests.inference.models import write_checkpoint
from tests.lightmap_example import started_grid

ROOT = Path(__file__).resolve().parents[1]
FRONT_PAGES = ("README.md", "README.zh-CN.md")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
SCRIPTS = (
    "train",
    "export_latent",
    "infer",
    "prepare_olat",
    "train_delit",
    "inference_delit",
    "train_relit",
    "inference_relit",
    "demo",
)
COMMANDS = {name: ([name], []) for name in SCRIPTS}
COMMANDS |= {f"evaluate {task}": (["evaluate"], [task]) for task in ("lightmap", "delit", "relit")}
OF_OTHER_PROGRAMS = {"--nproc_per_node", "--logdir", "--check", "--help"}
# What benchmarks.gpu writes is quoted once it comes from the machine that the documents name.
TABLES = sorted({path.name for path in ROOT.glob("results/*.tsv")} - {"gpu.tsv"})


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", without_code(text))


def anchors(text: str) -> set[str]:
    """What GitHub calls the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", without_code(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.replace("`", "").lower()).replace(" ", "-") for head in heads}


@functools.cache
def flags_of(module: str, *arguments: str) -> frozenset[str]:
    """The flags in the help of a script or a benchmark."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit):
        importlib.import_module(module).main([*arguments, "--help"])
    return frozenset(re.findall(r"--[a-z0-9_]+", printed.getvalue().partition("options:")[2]))


def script_flags() -> dict[str, frozenset[str]]:
    return {name: flags_of(*module, *arguments) for name, (module, arguments) in COMMANDS.items()}


def commands(text: str) -> list[list[str]]:
    """The lines of a page's code blocks that call Python, split into words; continued lines are joined."""
    blocks = re.findall(r"^```(?:bash|cmd)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"[\\^]\n", " ", block).splitlines()]
    calls = [line[line.index("python ") :] for line in lines if "python " in line]
    return [shlex.split(call, comments=True, posix=False) for call in calls]


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    page = ROOT / name
    for link in links(TEXTS[name]):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", TEXTS)
def test_links_to_lines_lead_near_what_they_name(name):
    for called, path, line in re.findall(r"\[`([\w.]+)`\]\(([^)#]+)#L(\d+)\)", TEXTS[name]):
        source = ((ROOT / name).parent / path).read_text(encoding="utf-8").splitlines()
        defined = re.compile(rf"\s*(?:def|class) {called.rpartition('.')[2]}\b")
        places = [number for number, text in enumerate(source, 1) if defined.match(text)]
        assert places, f"{called} is not in {path}"
        assert min(abs(place - int(line)) for place in places) <= 40, f"{called} is at {places} of {path}"


@pytest.mark.parametrize("name", TEXTS)
def test_files_that_are_named_exist(name):
    named = re.findall(r"(?<![\w/.])(?:src|tests|benchmarks|docs|results|samples(?!/s\b))/[\w./-]*\w", TEXTS[name])
    missing = {path for path in named if not any(ROOT.glob(path))}
    scripts = set(re.findall(r"(?<![\w/])([a-z_]+\.py)\b", TEXTS[name]))
    known = {path.name for path in ROOT.glob("*.py")} | {path.name for path in ROOT.glob("src/**/*.py")}
    assert not missing and scripts <= known, (missing, scripts - known)


@pytest.mark.parametrize("name", TEXTS)
def test_modules_that_are_called_exist(name):
    for module in set(re.findall(r"python -m ([\w.]*\w)", TEXTS[name])) - {"benchmarks.NAME"}:
        assert importlib.util.find_spec(module), module


@pytest.mark.parametrize("name", TEXTS)
def test_commands_have_flags_that_their_scripts_know(name):
    for words in commands(TEXTS[name]):
        given = {word for word in words if word.startswith("--")}
        if words[1] == "-m":
            module, arguments = words[2], []
            if not module.startswith("benchmarks."):
                continue
        else:
            module, arguments = words[1].removesuffix(".py"), words[2:3] if words[1] == "evaluate.py" else []
        assert given <= flags_of(module, *arguments), words


@pytest.mark.parametrize("name", TEXTS)
def test_flags_that_are_named_exist(name):
    benchmarks = set(re.findall(r"python -m (benchmarks\.[a-z_]+)", TEXTS[name]))
    known = OF_OTHER_PROGRAMS.union(*script_flags().values(), *map(flags_of, benchmarks))
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9_]*", TEXTS[name])) <= known


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_documented(command):
    documented = set(re.findall(r"--[a-z0-9_]+", "".join(text for name, text in TEXTS.items() if "docs/" in name)))
    assert script_flags()[command] - {"--help"} <= documented


@pytest.mark.parametrize("name", FRONT_PAGES)
def test_the_front_page_is_short(name):
    content = (ROOT / name).read_bytes()
    assert len(content) <= 12_000 and content.count(b"\n") <= 200


def test_both_front_pages_say_the_same():
    """Pictures, links, commands and code are equal but for comments and the way to the other page."""
    ours, theirs = (TEXTS[name] for name in FRONT_PAGES)
    targets = [[link.partition("#")[0] for link in links(text) if "README" not in link] for text in (ours, theirs)]
    assert targets[0] == targets[1]
    blocks = [re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL) for text in (ours, theirs)]
    code = [[re.sub(r" *#.*", "", block) for block in page] for page in blocks]
    assert code[0] == code[1]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_says_where_its_figures_come_from(name):
    lines = (ROOT / "results" / name).read_text(encoding="utf-8").splitlines()
    for key in ("command", "commit", "machine"):
        assert any(line.startswith(f"# {key}: ") for line in lines)
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert len(rows) > 1 and len({len(row) for row in rows}) == 1


@pytest.mark.parametrize("name", TABLES)
def test_figures_are_quoted_as_they_are(name):
    """Every table in the documents that follows a comment with the name of a file in results/ is a part of that."""
    lines = (ROOT / "results" / name).read_text(encoding="utf-8").splitlines()
    head, *rows = (line.split("\t") for line in lines if not line.startswith("#"))
    quoted = 0
    for text in TEXTS.values():
        for table in re.findall(rf"^<!-- results/{re.escape(name)} -->\n((?:\|.*\n)+)", text, flags=re.MULTILINE):
            columns, _, *quotes = ([c.strip() for c in line.strip("|").split("|")] for line in table.splitlines())
            chosen = [head.index(column) for column in columns]
            known = [[row[k] for k in chosen] for row in rows]
            assert all(quote in known for quote in quotes), [quote for quote in quotes if quote not in known]
            quoted += 1
    assert quoted


def snippets(name: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", TEXTS[name], flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", FRONT_PAGES)
def test_python_of_the_front_page_runs(name, tmp_path, monkeypatch):
    grid, _ = started_grid()
    for folder in ("tod", "delit"):
        (tmp_path / "runs" / folder).mkdir(parents=True)
    write_bundle(tmp_path / "runs/tod/day.tod", grid.decoder())
    write_checkpoint(tmp_path / "runs/delit/checkpoint_best.pth")
    write_display(tmp_path / "portrait.jpg", np.random.default_rng(0).random((40, 30, 3), np.float32))
    monkeypatch.chdir(tmp_path)
    lightmaps, portraits = snippets(name)
    space: dict = {}
    exec(lightmaps, space)
    assert space["frames"].shape == (2, grid.config.height, grid.config.width, 3) and space["colours"].any()
    exec(portraits, space)
    assert space["result"].flat_lit.shape == (40, 30, 3)
    assert (tmp_path / "flat_lit.png").exists() and (tmp_path / "light.hdr").exists()
