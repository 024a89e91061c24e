"""Documents tell the truth: commands parse, options exist, links lead somewhere, the tree is complete."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest
import yaml

from polymod import config
from polymod.cli import COMMANDS, _positional, module_of, parse
from polymod.commands.slurm import Request
from polymod.config import SWITCHES, CommandConfig, fields

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def identifier(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, *languages: str) -> list[str]:
    """Fenced blocks of these languages."""
    return [
        body for language, body in FENCE.findall(path.read_text(encoding="utf-8")) if language in languages
    ]


def commands(path: Path) -> list[str]:
    """Lines that call polymod, without prompt, comment and continuation."""
    lines = "\n".join(blocks(path, "bash", "console", "sh")).replace("\\\n", " ").splitlines()
    bare = [line.strip().removeprefix("$ ").removeprefix(".venv/bin/") for line in lines]
    return [line for line in bare if line.startswith("polymod ") and "VERB" not in line]


def config_class(name: str) -> type[CommandConfig]:
    found: type[CommandConfig] = importlib.import_module(module_of(name)).Config
    return found


def written(page: str, name: str, folder: Path) -> Path:
    """A config file that a page names: one of the repository, or a block that begins with ``# name``."""
    if (ROOT / name).exists():
        return ROOT / name
    (body,) = [body for body in blocks(ROOT / page, "yaml") if body.startswith(f"# {name}\n")]
    (folder / name).write_text(body)
    return folder / name


ALL_COMMANDS = [(identifier(path), line) for path in PAGES for line in commands(path)]


@pytest.mark.parametrize(("page", "line"), ALL_COMMANDS)
def test_a_command_in_a_document_is_valid(page: str, line: str, tmp_path: Path) -> None:
    name, *words = shlex.split(line, comments=True)[1:]
    assert name in COMMANDS, page
    arguments, options, _ = parse(words)
    kind = config_class(name)
    files = [word for word in arguments if word.endswith(".yaml")]
    file = written(page, files[0], tmp_path) if files else None
    of_job = [each for each in options if each[0].startswith("slurm.")]
    own = [each for each in options if each not in of_job]
    config.load(kind, file, [*_positional(kind, [word for word in arguments if word not in files]), *own])
    config.load(Request, None, of_job)


def test_there_are_commands_in_the_documents() -> None:
    assert len(ALL_COMMANDS) > 20


def sections() -> dict[str, str]:
    """Body of each ``## name`` of docs/cli.md."""
    parts = re.split(
        r"^## (.+)\n", (ROOT / "docs" / "cli.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    assert list(sections()) == ["Rules for all commands", *COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_named_in_a_section_exists(name: str) -> None:
    named = set(re.findall(r"--([a-z][\w.-]*[a-z])", sections()[name]))
    known = {key.replace("_", "-") for key in fields(config_class(name))} | set(SWITCHES)
    assert named - known == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_section_shows_its_command(name: str) -> None:
    assert f"polymod {name}" in sections()[name]


def test_a_config_file_in_a_document_is_valid(tmp_path: Path) -> None:
    (body,) = blocks(ROOT / "docs" / "cli.md", "yaml")
    (tmp_path / "a.yaml").write_text(body)
    value = config.load(config_class("pretrain"), tmp_path / "a.yaml", [("out", "run")]).value
    assert value.model_dump()["languages"] == ("en", "no", "to")


@pytest.mark.parametrize("path", PAGES, ids=identifier)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_the_tree_in_the_readme_names_every_source_file_once() -> None:
    (tree,) = [body for body in blocks(ROOT / "README.md", "text") if body.startswith("src/polymod/")]
    folders: list[str] = []
    listed = []
    for line in tree.splitlines()[1:]:
        name, _, about = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        folders = [*folders[:depth], name]
        if not name.endswith("/"):
            listed.append("".join(folders))
            assert about.strip(), f"say what {name} is"
    source = ROOT / "src" / "polymod"
    files = [
        path
        for path in source.rglob("*.*")
        if path.suffix != ".pyc" and path.name not in ("__init__.py", "py.typed")
    ]
    assert sorted(listed) == sorted(path.relative_to(source).as_posix() for path in files)


def test_the_layers_in_the_design_are_those_of_the_source() -> None:
    table = (ROOT / "docs" / "design" / "000-index.md").read_text(encoding="utf-8")
    named = {
        part
        for row in re.findall(r"^\| \d \| (.*?) \|", table, re.MULTILINE)
        for part in re.findall(r"`(\w+)`", row)
    }
    source = ROOT / "src" / "polymod"
    there = {
        path.stem for path in source.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - {"__init__", "__main__"} <= named


def test_every_design_page_is_in_the_index() -> None:
    folder = ROOT / "docs" / "design"
    index = (folder / "000-index.md").read_text(encoding="utf-8")
    pages = [path.name for path in folder.glob("*.md") if path.name != "000-index.md"]
    assert [name for name in pages if f"({name})" not in index] == []


def test_the_hooks_call_make() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert {"make check", "make test"} <= {hook["entry"] for hook in hooks}
    assert (ROOT / ".ci" / "run").read_text().count("make ") == 2


@pytest.mark.parametrize("path", PAGES, ids=identifier)
def test_nothing_stands_right_before_a_heading(path: Path) -> None:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    assert re.findall(r"^(.+)\n#+ .+$", text, re.MULTILINE) == []
