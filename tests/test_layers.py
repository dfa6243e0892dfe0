"""Imports point down only, and never in a circle (the rows are those of docs/design.md).

The walk reads the source: imports inside functions and under TYPE_CHECKING count, since both tie two files together.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "altclip"
ROWS: dict[str, int] = {
    name: row
    for row, names in {
        8: "__main__",
        7: "cli",
        6: "cluster serve",
        5: "train bench demo",
        4: "evaluate search diffusion export",
        3: "encoder engines hf",
        2: "checkpoints data",
        1: "models processing prompts losses metrics pages",
        0: "errors mistakes languages device distributed silence whole",
    }.items()
    for name in names.split()
}
# Within a row only these; every file may raise the errors of the tree, so `errors` is the floor that its row stands on.
ARROWS = {
    ("encoder", "engines"),
    ("cluster", "serve"),
    *((name, "errors") for name in ("languages", "device", "distributed", "silence")),
}
# A library that a user may not have is imported behind one door, which says what to install.
OPTIONAL = {
    "accelerate", "datasets", "tensorboard", "peft", "matplotlib", "jinja2", "openvino", "nncf", "onnx", "onnxruntime",
    "pillow_heif", "lancedb", "watchfiles", "fastapi", "uvicorn", "httpcore2", "prometheus_client", "diffusers", "ray",
    "skimage", "sklearn",
}  # fmt: skip
ORACLES = {"transformers", "sentence_transformers", "torchmetrics", "open_clip", "torchvision"}

Graph = dict[str, set[str]]


def modules(root: Path) -> dict[str, Path]:
    """Dotted name -> file, for all Python files of the package folder `root`."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path, runs: bool = False) -> Iterator[tuple[str, str | None]]:
    """Each import in a file (with `runs`, not those for types alone) as (module, name taken from it or None)."""
    tree: ast.AST = ast.parse(path.read_text(encoding="utf-8"))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(WithoutTypes().visit(tree) if runs else tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((str(argument.value), None) for argument in node.args if isinstance(argument, ast.Constant))


def graph(root: Path) -> Graph:
    """Which files of the package each file imports; the package's own __init__ is left out.

    It stands above every layer by design: it names, lazily, what the package shows. `from altclip import __version__`
    is the one thing that may be taken from it.
    """
    known = modules(root)
    edges: Graph = {}
    for name, path in known.items():
        if name == root.name:
            continue
        edges[name] = set()
        for module, attribute in imported(name, path):
            if module.split(".")[0] != root.name or (module, attribute) == (root.name, "__version__"):
                continue
            target = f"{module}.{attribute}"
            edges[name].add(target if target in known else module)
    return edges


def entry(module: str) -> str:
    """`models` of `altclip.models.dual`."""
    return module.split(".")[1] if "." in module else "__init__"


def misdirected(edges: Graph) -> list[str]:
    """The imports that point up, or sideways where no arrow is drawn."""
    problems = []
    for module, targets in edges.items():
        for target in sorted(targets):
            a, b = entry(module), entry(target)
            if a not in ROWS or (b not in ROWS and b != "__init__"):
                problems.append(f"{module} -> {target}: no row of the design holds {a if a not in ROWS else b}")
            elif a != b and (b == "__init__" or ROWS[a] < ROWS[b]):
                problems.append(f"{module} -> {target}: points up" + " (name the file)" * (b == "__init__"))
            elif a != b and ROWS[a] == ROWS[b] and (a, b) not in ARROWS:
                problems.append(f"{module} -> {target}: points sideways")
    return problems


def cycle(edges: Graph) -> list[str]:
    """One circle of files that import each other, or nothing."""
    done: set[str] = set()

    def walk(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module not in done:
            for target in sorted(edges.get(module, ())):
                if found := walk(target, [*trail, module]):
                    return found
            done.add(module)
        return []

    return next((found for module in edges if (found := walk(module, []))), [])


class WithoutTypes(ast.NodeTransformer):
    """Leaves out what stands under `if TYPE_CHECKING:`, which never runs."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        return node.orelse if ast.unparse(node.test).endswith("TYPE_CHECKING") else self.generic_visit(node)


def third_party(root: Path) -> dict[str, set[str]]:
    """Library -> the files that import it when they run."""
    users = defaultdict(set)
    for name, path in modules(root).items():
        for module, _ in imported(name, path, runs=True):
            users[module.split(".")[0]].add(name)
    return users


def test_imports_point_down() -> None:
    assert misdirected(graph(SOURCE)) == []


def test_no_cycles() -> None:
    assert cycle(graph(SOURCE)) == []


def test_the_walk_sees_the_package() -> None:
    edges = graph(SOURCE)
    assert "altclip.errors" in edges["altclip.device"]
    assert {"altclip.cli.app", "altclip.errors", "altclip.languages"} <= edges.keys()


def test_oracles_are_for_tests_only() -> None:
    users = third_party(SOURCE)
    assert {library: users[library] for library in ORACLES if library in users} == {}


def test_an_optional_library_has_one_door() -> None:
    users = third_party(SOURCE)
    assert {library: sorted(users[library]) for library in OPTIONAL if len(users.get(library, ())) > 1} == {}


def test_an_optional_library_is_imported_when_needed() -> None:
    """No file fails to import for want of one: such an import stands inside a function (or under TYPE_CHECKING)."""
    eager = []
    for name, path in modules(SOURCE).items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                named = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
                eager += [f"{name} imports {n}" for n in named if n.split(".")[0] in OPTIONAL]
    assert eager == []


# The proof that the walk finds what it is for: one made-up tree for each fault.
FAULTS = {
    "up": ({"models/dual.py": "from altclip.encoder import Encoder"}, "points up"),
    "up in a function": ({"losses.py": "def f():\n    import altclip.train.loop"}, "points up"),
    "up for type checking": ({"data/x.py": "if TYPE_CHECKING:\n    from altclip.evaluate import y"}, "points up"),
    "up by a relative import": ({"models/dual.py": "from ..encoder import Encoder"}, "points up"),
    "up by name of the package": ({"models/dual.py": "from altclip import Encoder"}, "points up"),
    "up by import_module": ({"prompts.py": "importlib.import_module('altclip.cli.app')"}, "points up"),
    "sideways": ({"models/dual.py": "from altclip.processing import images"}, "points sideways"),
    "sideways against the arrow": ({"engines/torch.py": "import altclip.encoder"}, "points sideways"),
    "ground floor": ({"languages.py": "import altclip.device"}, "points sideways"),
    "a stranger": ({"utils.py": "import altclip.errors"}, "no row of the design holds utils"),
}


def tree(root: Path, files: dict[str, str]) -> Path:
    package = root / "altclip"
    for name, text in {"__init__.py": "from altclip.encoder import Encoder", **files}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    return package


@pytest.mark.parametrize(("files", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_misdirected_import_is_found(files: dict[str, str], message: str, tmp_path: Path) -> None:
    problems = misdirected(graph(tree(tmp_path, files)))
    assert len(problems) == 1
    assert message in problems[0]


def test_what_is_allowed_is_not_reported(tmp_path: Path) -> None:
    package = tree(
        tmp_path,
        {
            "__main__.py": "from altclip.cli.app import main",
            "cli/app.py": "from altclip import __version__\nfrom altclip.train import loop",
            "cluster/run.py": "from altclip.serve import app",
            "encoder.py": "from altclip.engines.torch import Engine\nimport torch",
            "models/__init__.py": "from altclip.models.dual import DualEncoder",
            "models/dual.py": "from . import config\nfrom .config import X\nfrom altclip.errors import UsageError",
            "models/config.py": "",
            "device.py": "from altclip import errors",
            "errors.py": "",
        },
    )
    edges = graph(package)
    assert misdirected(edges) == []
    assert cycle(edges) == []
    assert edges["altclip.models.dual"] == {"altclip.models.config", "altclip.errors"}


@pytest.mark.parametrize(
    "files",
    [
        {"models/a.py": "from altclip.models import b", "models/b.py": "from altclip.models.a import x"},
        {"models/__init__.py": "from altclip.models.a import x", "models/a.py": "from altclip.models import y"},
        {
            "models/a.py": "import altclip.models.b",
            "models/b.py": "def f():\n    from . import c",
            "models/c.py": "from . import a",
        },
        {"losses.py": "import altclip.losses"},
    ],
    ids=["two files", "a file and its package", "three files", "a file and itself"],
)
def test_a_cycle_is_found(files: dict[str, str], tmp_path: Path) -> None:
    found = cycle(graph(tree(tmp_path, files)))
    assert found[0] == found[-1]
    assert len(found) >= 2
