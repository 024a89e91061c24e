"""``polymod languages``: what languages a run has; drop, rename, take one out as a file, put one in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.errors import UserError

_WORDS = {"list": 0, "drop": 1, "rename": 2, "export": 1, "import": 1}  # behind the action
_USAGE = {
    "list": "polymod languages RUN list",
    "drop": "polymod languages RUN drop TAG [TAG ...] --out RUN2",
    "rename": "polymod languages RUN rename OLD NEW --out RUN2",
    "export": "polymod languages RUN export TAG --file TAG.safetensors",
    "import": "polymod languages RUN import FILE --out RUN2",
}


class Config(CommandConfig):
    """`list`; `drop TAG ...`, `rename OLD NEW` and `import FILE` write another run to --out; `export TAG`
    writes one language to --file. The run itself is only read.
    """

    arguments = ("run", "action", "names")
    run: Path = Field(description="folder that pretrain, extend or import wrote")
    action: Literal["list", "drop", "rename", "export", "import"] = Field("list", description="what to do")
    names: Names = Field((), description="languages, or the file to import")
    out: Path | None = Field(None, description="run folder to write")
    file: Path | None = Field(None, description="language file to write")
    language: str = Field("", description="language under which to import; as the file says if left out")


def main(config: Config) -> dict[str, Any]:
    """Do what the action says."""
    count = min(len(config.names), 1) if config.action == "drop" else len(config.names)
    given = (count, config.out is not None, config.file is not None)
    to_run, to_file = config.action in ("drop", "rename", "import"), config.action == "export"
    if given != (_WORDS[config.action], to_run, to_file):
        raise UserError(f"this is not how {config.action} is used", fix=_USAGE[config.action])
    if config.language and config.action != "import":
        raise UserError("--language is for import only", fix=_USAGE[config.action])
    if config.action == "list":
        return {"run": str(config.run), "action": "list", **_list(config.run)}
    if config.action == "export":
        return {"run": str(config.run), "action": "export", **_export(config)}
    return {"run": str(config.run), "action": config.action, **_changed(config)}


def _list(run: Path) -> dict[str, Any]:
    from polymod.languages import name
    from polymod.model.partition import partition
    from polymod.train.checkpoint import load_model
    from polymod.train.lineage import origins
    from polymod.train.run import found

    saved, record = found(run)
    model, known = load_model(saved), origins(run)
    owned = partition(key for key, _ in model.named_parameters())
    began = "imported" if "imported" in record else "pretrained"
    languages = {}
    for tag in saved.config.languages:
        vocabulary = saved.config.vocabulary_of(tag)
        languages[tag] = {
            "name": name(tag),
            "parameters": sum(model.get_parameter(key).numel() for key in owned.get(tag, [])),
            "vocabulary": vocabulary.size,
            "own_rows": vocabulary.own_rows,
            "origin": known.get(tag, {"from": began}),
        }
    return {"step": saved.step, "arm": saved.config.arm, "languages": languages}


def _export(config: Config) -> dict[str, Any]:
    from polymod.files import sha256
    from polymod.languages import resolve
    from polymod.text.tokenizers import Tokenizers
    from polymod.train.checkpoint import load_model
    from polymod.train.lineage import origins
    from polymod.train.packfile import write_pack
    from polymod.train.run import found

    assert config.file is not None
    saved, _ = found(config.run)
    tag = resolve(config.names[0], saved.config.languages)
    origin = {"run": str(config.run), **origins(config.run).get(tag, {})}
    tokenizer = Tokenizers(config.run).path(tag).read_bytes()
    if config.file.exists():
        fix = "give another --file or remove it"
        raise UserError("the file exists; nothing was written", where=str(config.file), fix=fix)
    header = write_pack(config.file, load_model(saved), tag, tokenizer=tokenizer, origin=origin)
    size = config.file.stat().st_size
    document = {"language": tag, "file": str(config.file), "bytes": size, "sha256": sha256(config.file)}
    return {**document, "trunk": header.trunk}


def _changed(config: Config) -> dict[str, Any]:
    """Another run, with a language less, more, or under another tag."""
    from polymod.files import sha256
    from polymod.text.tokenizer import TOKENIZER
    from polymod.train.derive import Derived, Roster
    from polymod.train.run import found

    assert config.out is not None
    words, path = list(config.names), Path(config.names[0])
    if config.action == "import" and path.is_file():
        words = [sha256(path)]
    derived = Derived(config.run, config.out, {config.action: words, "language": config.language})
    if not (there := derived.is_there()):
        roster = Roster.of(config.run, derived.saved)
        if config.action == "import":
            common = config.run / TOKENIZER
            sha = sha256(common) if common.is_file() else ""
            roster.install(path, config.language, tokenizer_sha256=sha)
        elif config.action == "drop":
            for name in config.names:
                roster.drop(name)
        else:
            roster.rename(*config.names)
        derived.write(roster)
    before, after = derived.saved.config.languages, found(config.out)[0].config.languages
    document = {"out": str(config.out), "finished_before": there}
    return {**document, "before": list(before), "after": list(after)}


def show(document: dict[str, Any]) -> None:
    """A line per language, or what was written."""
    if document["action"] == "list":
        print(f"{'language':<28} {'parameters':>11} {'vocabulary':>11} {'own rows':>9}  from")
        for tag, entry in document["languages"].items():
            label = f"{tag} {entry['name'] or ''}"[:28]
            origin = entry["origin"]
            source = " ".join(str(origin[key]) for key in ("from", "run", "file") if key in origin)
            tokens = f", {origin['tokens']:,} tokens" if "tokens" in origin else ""
            numbers = f"{entry['parameters']:>11,} {entry['vocabulary']:>11,} {entry['own_rows']:>9,}"
            print(f"{label:<28} {numbers}  {source}{tokens}")
        print(f"{document['run']}: {document['arm']}, step {document['step']:,}")
    elif document["action"] == "export":
        print(f"{document['file']}: {document['language']}, {document['bytes']:,} bytes")
        print(f"fits runs with the trunk {document['trunk'][:16]}")
    else:
        before = "made before; " if document["finished_before"] else ""
        print(f"{document['out']}: {before}{', '.join(document['after'])}")
