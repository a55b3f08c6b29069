"""The direction of imports: scripts -> tasks -> data, models, losses, training, export -> utils, and no cycles.

The two wings, lightmaps and portraits, share only the foundation: which wing a module is in follows from its folder.
"""

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
    "losses": {"utils", "losses", "models"},  # and the batch's type, see ALSO
    "export": {"utils", "export", "models"},
    "evaluation": {"utils", "evaluation", "data", "models", "export", "inference"},
    "inference": {"utils", "inference", "data", "models"},
    "demo": {"utils", "demo", "data", "models", "export", "inference"},
    "tasks": {"utils", "tasks", "data", "models", "losses", "training", "export", "evaluation"},
}
# A loss is a function of a model's output and a batch: it may know their types.
ALSO = {"losses": {"src.data.portrait.pair_batch"}}
LIGHTMAP_WING = (
    "demo.lightmap_tab",
    "demo.lightmap_work",
    "data.lightmap",
    "data.lightmap_dataset",
    "models.siren",
    "models.siren_decoder",
    "models.siren_sizes",
    "models.lightmap_decoder",
    "models.day_peak",
    "models.sampling",
    "models.compressor",
    "models.f2",
    "models.radiance_f2",
    "models.turn_cosine",
    "models.hour_lookup",
    "models.grid",
    "losses.siren_loss",
    "losses.grid_loss",
    "tasks.lightmap_runs",
    "tasks.judging",
    "tasks.lightmap_options",
    "tasks.lightmap_export",
    "tasks.siren_task",
    "tasks.siren_training",
    "tasks.grid_task",
    "tasks.grid_training",
    "tasks.grid_sizes",
    "tasks.grid_budget",
    "tasks.made_frames",
    "tasks.budget_search",
    "tasks.day_viewer",
    "export",
    "evaluation.lightmap",
)
PORTRAIT_WING = (
    "demo.portrait_tab",
    "demo.portrait_work",
    "data.stage",
    "data.portrait",
    "models.delit_model",
    "models.delit",
    "models.relit_model",
    "models.relit",
    "losses.delit_loss",
    "losses.delit_loss_check",
    "losses.delit_environment",
    "losses.relit_loss",
    "tasks.portrait_options",
    "tasks.portrait_task",
    "tasks.portrait_training",
    "tasks.portrait_validation",
    "tasks.delit_task",
    "tasks.delit_training",
    "tasks.relit_task",
    "tasks.relit_training",
    "inference",
    "evaluation.delit",
    "evaluation.portrait_options",
    "evaluation.relit",
)
FOUNDATION = (
    "utils",
    "training",
    "models.shipped",
    "demo.words",
    "demo.speaking",
    "evaluation.table",
    "evaluation.perceptual",
)
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "src").rglob("*.py")}


def imported_by(path: Path) -> set[str]:
    """Dotted names of the project's modules that the file imports, at the top or inside a function."""
    names = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # What a module does when it is run, ``python -m``, is a script's business.
    tree.body = [node for node in tree.body if not (isinstance(node, ast.If) and "__main__" in ast.dump(node.test))]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import from src, not relatively"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name in MODULES}


def wing_of(module: str) -> str:
    """Fails for a module in no room: a new folder, or a file in a shared one, must be given to a wing above."""
    name = module.removeprefix("src.").removesuffix(".__init__")
    if name in MAY_IMPORT or name in ("src", "__init__"):
        return "foundation"
    found = [
        wing
        for wing, rooms in (("lightmap", LIGHTMAP_WING), ("portrait", PORTRAIT_WING), ("foundation", FOUNDATION))
        if any(name == room or name.startswith(f"{room}.") for room in rooms)
    ]
    assert len(found) == 1, f"{module} is in {found or 'no wing'}"
    return found[0]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_follow_the_layout(module):
    imports = imported_by(MODULES[module])
    package = module.split(".")[1]
    if package != "__init__":
        folders = {name.split(".")[1] for name in imports - ALSO.get(package, set())}
        assert folders <= MAY_IMPORT[package], f"{module} imports {sorted(imports)}"
    wing = wing_of(module)
    strangers = {"lightmap": {"portrait"}, "portrait": {"lightmap"}, "foundation": {"lightmap", "portrait"}}[wing]
    assert not [name for name in imports if wing_of(name) in strangers], f"{module} ({wing}) imports {sorted(imports)}"


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
