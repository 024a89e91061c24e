"""The shape of the source: imports point down, start-up is light, nothing is unpickled, files stay small."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import polymod
from _toys import run
from polymod.cli import COMMANDS

SOURCE = Path(polymod.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
# Parts of one layer do not import each other, except in layer 0.
LAYERS = {
    **dict.fromkeys(
        ["errors", "faults", "files", "progress", "yaml12", "config", "languages", "batch", "metrics"], 0
    ),
    "registration": 0,  # names what it imports later, as texts
    **dict.fromkeys(["text", "worlds", "model"], 1),
    "data": 2,
    "train": 3,
    **dict.fromkeys(["tasks", "diagnose"], 4),
    "study": 5,
    **dict.fromkeys(["report", "bench"], 6),
    "commands": 7,
    **dict.fromkeys(["cli", "face"], 8),
    **dict.fromkeys(["__main__", "__init__"], 9),
}
WITHOUT_TORCH = ("text", "worlds")
UNPICKLING = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
DANGEROUS_NAMES = {"eval", "exec", "compile", "__import__", "breakpoint", "input"}
DANGEROUS_CALLS = {
    *(
        "torch.load",
        "torch.save",
        "np.savez",
        "np.savez_compressed",
        "numpy.savez",
        "yaml.load",
        "yaml.unsafe_load",
    ),
    *("yaml.full_load", "os.system", "os.popen", "pandas.read_pickle"),
}
MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_ARGUMENTS = 300, 60, 7


def identifier(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def part(path: Path) -> str:
    """The package or top-level module that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Dotted names that a tree imports, and their lines; relative imports are not used here."""
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            yield from ((alias.name, each.lineno) for alias in each.names)
        elif isinstance(each, ast.ImportFrom):
            assert each.level == 0, "relative import"
            assert each.module is not None
            yield each.module, each.lineno
            yield from ((f"{each.module}.{alias.name}", each.lineno) for alias in each.names)


def calls(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Calls with the dotted name that is called."""
    for each in ast.walk(node):
        if isinstance(each, ast.Call):
            yield ast.unparse(each.func), each


every_file = pytest.mark.parametrize("path", FILES, ids=identifier)


@every_file
def test_imports_point_down(path: Path) -> None:
    here = part(path)
    assert here in LAYERS, f"give {here!r} a layer in LAYERS and in docs/design"
    for name, line in imports(tree(path)):
        top, _, rest = name.partition(".")
        there = rest.split(".")[0]
        if top != "polymod" or not there or there == here or there not in LAYERS:
            continue
        below = LAYERS[there] < LAYERS[here] or LAYERS[there] == LAYERS[here] == 0
        assert below, f"{identifier(path)}:{line}: {here} must not import {there}"


@every_file
def test_worlds_and_text_do_without_torch(path: Path) -> None:
    if part(path) in WITHOUT_TORCH:
        heavy = [
            (name, line)
            for name, line in imports(tree(path))
            if name.split(".")[0] in ("torch", "transformers")
        ]
        assert heavy == []


def test_importing_text_and_worlds_does_not_import_torch() -> None:
    modules = [
        ".".join(["polymod", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
        for path in FILES
        if part(path) in WITHOUT_TORCH
    ]
    script = f"import sys, {', '.join(modules)}; assert 'torch' not in sys.modules"
    done = run("-c", script)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_imports_nothing_heavy(name: str) -> None:
    call = f"cli.execute({name!r}, ['--help'])" if name else "None"
    heavy = {"torch", "transformers", "numpy", "tokenizers", "pyarrow", "huggingface_hub", "tensorboard"}
    script = f"import sys; from polymod import cli; assert not {call}; assert not {heavy} & {{*sys.modules}}"
    done = run("-c", script)
    assert done.returncode == 0, done.stderr


@every_file
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    found = [f"{line}: {name}" for name, line in imports(tree(path)) if name.split(".")[0] in UNPICKLING]
    for name, call in calls(tree(path)):
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        numpy_file = name in ("np.load", "np.save", "numpy.load", "numpy.save")
        if (
            name in DANGEROUS_NAMES | DANGEROUS_CALLS
            or keywords.get("allow_pickle", "False") != "False"
            or (name.endswith(".save") and numpy_file and "allow_pickle" not in keywords)
            or "trust_remote_code" in keywords
            or keywords.get("shell", "False") != "False"
            or keywords.get("weights_only") is not None
        ):
            found.append(f"{call.lineno}: {ast.unparse(call)[:80]}")
    assert found == []


@every_file
def test_only_commands_print(path: Path) -> None:
    if part(path) not in ("commands", "cli"):
        printing = [call for name, call in calls(tree(path)) if name in ("print", "sys.stdout.write")]
        found = [call.lineno for call in printing if "sys.stderr" not in ast.unparse(call)]
        assert found == [], "return a document, or write to progress.stderr()"


@every_file
def test_no_globals_and_no_open_ends(path: Path) -> None:
    for node in ast.walk(tree(path)):
        assert not isinstance(node, ast.Global), f"{identifier(path)}:{node.lineno}: global"
    text = path.read_text(encoding="utf-8")
    for word in ("TODO", "FIXME", "XXX", "NotImplemented"):
        assert word not in text


@every_file
def test_a_file_says_what_it_is_and_is_short(path: Path) -> None:
    docstring = ast.get_docstring(tree(path))
    assert docstring, "the first line of a file says what it is about"
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES, f"{lines} lines"


@every_file
def test_functions_are_short_and_take_few_arguments(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MOST_LINES_OF_A_FUNCTION, f"{node.name}: {lines} lines"
            names = [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
            assert len(set(names) - {"self", "cls"}) <= MOST_ARGUMENTS, f"{node.name}: {len(names)} arguments"


def test_the_checks_see_the_whole_tree() -> None:
    assert len(FILES) > 20
    assert {part(path) for path in FILES} >= {"cli", "commands", "model", "train"}
    assert set(sys.stdlib_module_names).isdisjoint(LAYERS), "a part would hide a standard module"
