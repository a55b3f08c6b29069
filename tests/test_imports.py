"""The direction of imports: scripts -> tasks -> data, models, losses, training, export -> utils, and no cycles."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "utils": {"utils"},
    "training": {"utils", "training"},
    "data": {"utils", "data"},
    "models": {"utils", "models"},
    "losses": {"utils", "losses", "models"},
    "export": {"utils", "export", "models"},
    "evaluation": {"utils", "evaluation", "data", "models", "export"},
    "inference": {"utils", "inference", "data", "models"},
    "tasks": {"utils", "tasks", "data", "models", "losses", "training", "export", "evaluation"},
}
LIGHTMAP_SIDE = ("lightmap", "hprc", "siren", "latent_grid", "compressor")  # how the names of the files begin
PORTRAIT_SIDE = ("delit", "relit", "olat")
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "src").rglob("*.py")}


def imported_by(path: Path) -> set[str]:
    """Dotted names of the project's modules that the file imports, at the top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import from src, not relatively"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name in MODULES}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_follow_the_layout(module):
    imports = imported_by(MODULES[module])
    package = module.split(".")[1]
    if package != "__init__":
        assert {name.split(".")[1] for name in imports} <= MAY_IMPORT[package], f"{module} imports {sorted(imports)}"
    for side, other in ((LIGHTMAP_SIDE, PORTRAIT_SIDE), (PORTRAIT_SIDE, LIGHTMAP_SIDE)):
        if module.rpartition(".")[2].startswith(side):
            assert not [name for name in imports if name.rpartition(".")[2].startswith(other)]


def test_there_are_no_cycles():
    TopologicalSorter({module: imported_by(path) - {module} for module, path in MODULES.items()}).prepare()


def test_nothing_imports_a_script():
    scripts = {path.stem for path in ROOT.glob("*.py")}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [getattr(node, "module", "")]
            )
            assert not scripts & set(names), f"{module} imports the script {names}"
