"""Who may import whom, and what an import may do."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
OURS = ("zoo", "exports", "recipes", "tests", "benchmarks")

# What a module may import of ours, by the longest prefix of its name. Names without a package are
# leaves; nothing runs back up.
LEAVES = (
    *(
        "zoo.calls",
        "zoo.class_names",
        "zoo.files",
        "zoo.image_files",
        "zoo.imagenet_classes",
        "zoo.lazy",
    ),
    *("zoo.quiet", "zoo.registry", "zoo.terminal"),
)
MAY = {
    **dict.fromkeys(LEAVES, ()),
    "zoo.terminal": ("zoo.fonts",),  # for argparse's `type`
    "zoo.class_names": ("zoo.imagenet_classes",),
    "zoo.images": ("zoo.image_files", "zoo.multiband"),
    "zoo.multiband": ("zoo.image_files",),
    "zoo.depths": ("zoo.images", "zoo.registry", "zoo.spec"),
    "zoo.progress": (),
    "zoo.workdir": ("zoo.spec",),
    "zoo.spec": (),
    "zoo.layers": ("zoo.layers",),
    "zoo.metrics": ("zoo.metrics",),
    "zoo.fonts": (),
    "zoo.pictures": ("zoo.files", "zoo.fonts"),
    "zoo.ffmpeg": (),
    "zoo.videos": ("zoo.ffmpeg", "zoo.files", "zoo.images", "zoo.pictures", "zoo.spec"),
    "zoo.rasters": ("zoo.files", "zoo.image_files", "zoo.images"),
    "zoo.weights": (*LEAVES, "zoo.layers", "zoo.spec", "zoo.weights", "zoo.workdir"),
    "zoo.models": (*LEAVES, "zoo.layers", "zoo.models", "zoo.spec", "zoo.weights"),
    "zoo.models.plain": (),
    "zoo.fast_copy": ("zoo.calls", "zoo.layers"),
    "zoo.loading": (*LEAVES, "zoo.models.plain", "zoo.spec", "zoo.weights", "zoo.workdir"),
    "zoo.inference": (
        *(*LEAVES, "zoo.class_names", "zoo.images", "zoo.inference", "zoo.layers", "zoo.loading"),
        *("zoo.fonts", "zoo.metrics", "zoo.pictures", "zoo.progress", "zoo.rasters", "zoo.spec"),
        *("zoo.depths", "zoo.fast_copy", "zoo.models.plain", "zoo.videos", "zoo.weights"),
    ),
    # It opens the files of `exports`, in functions; nothing of `exports` imports it.
    "zoo.inference.exported": (
        *("exports.graph.ports", "exports.reading", "exports.runtimes"),
        *("zoo.class_names", "zoo.inference", "zoo.spec"),
    ),
    "zoo.anatomy": ("zoo.calls", "zoo.layers"),
    "zoo.drawing": ("zoo.anatomy",),
    "zoo.commands": ("zoo",),
    "zoo.showing": ("zoo",),
    "zoo.__main__": ("zoo",),  # it names the modules of the other verbs, and imports none
    "zoo": (*LEAVES, "zoo.layers", "zoo.metrics", "zoo.spec"),
    "exports": ("exports", "zoo"),
    "exports.images": ("zoo.images",),
    "exports.protobuf": (),
    "exports.reading": ("exports.protobuf", "zoo.spec"),
    "exports.graph": ("exports.graph", "zoo.image_files", "zoo.pictures", "zoo.spec"),
    "exports.runtimes.keras": ("exports.runtimes", "zoo"),
    "exports.runtimes": ("exports.runtimes", "exports.graph", "exports.protobuf"),
    "exports.serving": (
        *("exports.serving", "exports.runtimes.Ask", "exports.graph", "exports.protobuf"),
        *("exports.reading", "zoo"),
    ),
    "exports.check": (
        *("exports.check", "exports.serving", "exports.runtimes", "exports.graph"),
        *("exports.images", "zoo"),
    ),
    "exports.formats": (
        *("exports.formats", "exports.check", "exports.serving", "exports.runtimes"),
        *("exports.graph", "exports.images", "exports.reading"),
        *("zoo.files", "zoo.layers", "zoo.quiet", "zoo.registry", "zoo.spec"),
    ),
    # Without TensorFlow.
    "exports.client": (
        *("exports.client", "exports.protobuf", "zoo.class_names", "zoo.files", "zoo.images"),
        *("zoo.pictures", "zoo.terminal"),
    ),
    "recipes": ("recipes", "zoo"),
    "recipes.data": ("recipes.data", "zoo"),
    "recipes.scoring": ("recipes.data", "zoo"),
    "recipes.training": ("recipes.training", "recipes.scoring", "recipes.data", "zoo"),
    "recipes.training.recipe": ("recipes.data", "recipes.training.rules"),
    # The recipe is its type.
    "recipes.training.rules": ("recipes.data", "recipes.training.recipe", "zoo.terminal"),
    "recipes.runs": ("recipes.training.recipe",),
    "recipes.evaluation": (
        *("recipes.evaluation", "recipes.training", "recipes.scoring", "recipes.data"),
        *("recipes.plotting", "recipes.runs", "zoo"),
    ),
    "recipes.options": (
        *("recipes.data", "recipes.runs", "recipes.training.recipe", "recipes.training.rules"),
        "zoo",
    ),
    "recipes.demonstration": ("recipes", "zoo", "exports"),
    "recipes.exporting": ("recipes.data", "zoo", "exports"),  # gives the one the other's function
}


def modules() -> list[str]:
    paths = [path for top in ("zoo", "exports", "recipes") for path in (ROOT / top).rglob("*.py")]
    return sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)


def imported(module: str) -> set[str]:
    tree = ast.parse((ROOT / module.replace(".", "/")).with_suffix(".py").read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively; write the whole name"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in OURS}


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("module", modules())
def test_imports_follow_the_layers(module):
    rule = max((prefix for prefix in MAY if within(module, prefix)), key=len)
    wrong = [name for name in imported(module) if not any(within(name, may) for may in MAY[rule])]
    assert not wrong, f"{module} may import of ours only {MAY[rule]}, and imports {wrong}"


def test_a_run_is_its_card_and_its_recipe():
    runs = [x for x in (ROOT / "recipes" / "runs").glob("*.py") if x.name != "__init__.py"]
    assert runs
    for path in runs:
        card, imported_recipe, recipe = ast.parse(path.read_text()).body
        assert isinstance(card.value.value, str), path
        assert ast.unparse(imported_recipe) == "from recipes.training.recipe import Recipe", path
        assert ast.unparse(recipe).startswith("RECIPE = Recipe("), path
        assert "name" not in {keyword.arg for keyword in recipe.value.keywords}, path


def test_import_prints_nothing_and_touches_no_network():
    code = (
        "import os, socket, sys\n"
        "def refuse(*a, **k): raise OSError('an import opened a socket')\n"
        "socket.socket.connect = refuse\n"
        "before = dict(os.environ), os.fstat(2), os.fstat(1)\n"
        "import zoo\n"
        "zoo.list_models(), zoo.describe('unet'), zoo.class_names, zoo.pictures\n"
        "assert (dict(os.environ), os.fstat(2), os.fstat(1)) == before\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'h5py'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
