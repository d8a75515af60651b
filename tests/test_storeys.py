"""Lower storeys never import higher ones, and importing llmlib stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import llmlib

PACKAGE = Path(llmlib.__file__).parent
STOREYS = [
    "text",
    "evaluation",
    "model",
    "training",
    "generation",
    "inside",
    "adaptation",
    "check",
    "show",
    "cli",
]
HEAVY = ["matplotlib", "IPython", "transformers", "tokenizers", "pyarrow", "pandas"]


def imported_storeys(source: str) -> set[str]:
    """The storeys whose modules a piece of source imports, at its top or inside."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    parts = [name.split(".") for name in names]
    return {p[1] for p in parts if p[0] == "llmlib" and len(p) > 1 and p[1] in STOREYS}


def climbs(storey: str, source: str) -> set[str]:
    """The storeys above its own that a module imports."""
    above = STOREYS[STOREYS.index(storey) + 1 :]
    return imported_storeys(source) & set(above)


def test_no_module_imports_a_storey_above_its_own():
    faults = {}
    for file in PACKAGE.rglob("*.py"):
        storey = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if storey != "__init__" and (higher := climbs(storey, file.read_text("utf-8"))):
            faults[str(file)] = higher
    assert not faults


def test_every_folder_and_module_is_a_storey():
    names = {file.relative_to(PACKAGE).parts[0] for file in PACKAGE.rglob("*.py")}
    assert {name.removesuffix(".py") for name in names} <= {"__init__", *STOREYS}


def test_the_walk_sees_what_climbs():
    assert climbs("model", "from llmlib.training.trainer import Trainer") == {
        "training"
    }
    assert climbs("text", "def f():\n    import llmlib.model.gpt") == {"model"}
    assert climbs("text", "from llmlib import show") == {"show"}
    assert not climbs("training", "from llmlib.model.gpt import GPT\nimport torch")


def test_importing_llmlib_loads_nothing_heavy():
    code = f"import llmlib, sys; print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
