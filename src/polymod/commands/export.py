"""``polymod export``: a run as a directory that ``transformers`` loads, compared before it is done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.errors import UserError

if TYPE_CHECKING:
    from polymod.model.heads import MaskedLM


RECORD = "export.json"


class Config(CommandConfig):
    """Learned positions without gates and language embeddings become plain X-MOD (or XLM-R for the dense
    arm), which needs transformers alone. Every other model becomes an AutoModel directory that needs `import
    polymod`.
    """

    arguments = ("run",)
    run: Path = Field(description="folder that pretrain or import wrote")
    out: Path = Field(description="directory to write")
    languages: Names = Field((), description="languages to keep; all if left out")


def main(config: Config) -> dict[str, Any]:
    """Write the directory under another name, load it with transformers, compare, rename."""
    from polymod.files import MANIFEST, atomic_folder, require_space, sha256, write_json, write_manifest
    from polymod.languages import canonical_all, resolve
    from polymod.model import hf
    from polymod.model.card import write_card, write_tokenizer
    from polymod.train.checkpoint import load_model
    from polymod.train.run import TOKENIZER, found

    saved, record = found(config.run)
    tags = tuple(resolve(tag, saved.config.languages) for tag in canonical_all(config.languages))
    source = {"checkpoint": sha256(saved.folder / MANIFEST), "languages": list(tags)}
    if config.out.exists():
        return _finished(config.out, source)
    model = load_model(saved).eval()
    if tags:
        model = with_languages(model, tags)
    require_space(config.out, int(1.1 * sum(p.numel() * 4 for p in model.parameters())))
    with atomic_folder(config.out) as folder:
        hf.write_model(model, folder)
        if (config.run / TOKENIZER).exists():
            write_tokenizer((config.run / TOKENIZER).read_bytes(), model.config, folder)
        write_card(model.config, folder, facts={"step": saved.step, **record["versions"]})
        difference = hf.compare(model, folder)
        document = {
            "kind": "transformers" if model.config.is_xmod else "polymod",
            "languages": list(model.config.languages),
            "hidden_difference": difference.hidden,
            "logits_difference": difference.logits,
        }
        write_json(folder / RECORD, {"schema": 1, "source": source, **document})
        write_manifest(folder)
    return {"out": str(config.out), "finished_before": False, **document}


def _finished(out: Path, source: dict[str, Any]) -> dict[str, Any]:
    """What an earlier export of the same checkpoint found, if the directory is one and whole."""
    from polymod.files import problems, read_json

    document = read_json(out / RECORD) if (out / RECORD).is_file() else {}
    if document.pop("source", None) != source or problems(out):
        what = "the directory exists, and is no whole export of this checkpoint with these languages"
        raise UserError(what, where=str(out), fix="give another --out or remove it")
    return {"out": str(out), "finished_before": True, **document}


def with_languages(model: MaskedLM, tags: tuple[str, ...]) -> MaskedLM:
    """The same model with some of its languages only."""
    from polymod.model.heads import MaskedLM
    from polymod.model.partition import TRUNK, owner

    slim = MaskedLM(model.config.model_copy(update={"languages": tags}))
    state = {name: t for name, t in model.state_dict().items() if owner(name) in (TRUNK, *tags)}
    slim.load_state_dict(state)
    return slim.eval()


def show(document: dict[str, Any]) -> None:
    """What was written and how far the two sides are apart."""
    needs = (
        "plain transformers" if document["kind"] == "transformers" else "transformers after `import polymod`"
    )
    before = "exported before; " if document["finished_before"] else ""
    print(f"{document['out']}: {before}{len(document['languages'])} languages, loads with {needs}")
    hidden, logits = document["hidden_difference"], document["logits_difference"]
    print(f"compared with transformers: hidden states differ by {hidden:.1e}, logits by {logits:.1e}")
