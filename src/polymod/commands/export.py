"""``polymod export``: a run as a directory for ``transformers`` or as ONNX, compared before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.errors import UserError

if TYPE_CHECKING:
    from polymod.model.config import ModelConfig
    from polymod.model.hf import Model
    from polymod.train.checkpoint import Saved


RECORD = "export.json"


class Config(CommandConfig):
    """Learned positions without gates and language embeddings become plain X-MOD (or XLM-R for the dense
    arm), which needs transformers alone. Every other model becomes an AutoModel directory that needs `import
    polymod`. A fine-tuned model keeps the head of its task. ONNX is one language as one file.
    """

    arguments = ("run",)
    run: Path = Field(description="folder that pretrain, extend, finetune or import wrote")
    out: Path = Field(description="directory to write")
    languages: Names = Field((), description="languages to keep; all if left out")
    format: Literal["transformers", "onnx"] = Field(
        "transformers", description="what to write; onnx takes exactly one language"
    )


def main(config: Config) -> dict[str, Any]:
    """Write the directory under another name, load it with what it is for, compare, rename."""
    from polymod.files import MANIFEST, atomic_folder, require_space, sha256, write_json, write_manifest
    from polymod.languages import resolve_all
    from polymod.model.fold import fold_vocabulary
    from polymod.model.install import drop_language

    source = _source(config.run)
    languages = source.saved.config.languages
    wanted = {*resolve_all(config.languages, languages, where="--languages")} or {*languages}
    tags = tuple(tag for tag in languages if tag in wanted)
    onnx = config.format == "onnx"
    _check(onnx, tags)
    _check_vocabulary(config, source.saved.config, tags)
    identity = {"checkpoint": sha256(source.saved.folder / MANIFEST), "languages": list(tags)}
    if onnx:
        identity["format"] = "onnx"
    if config.out.exists():
        return _finished(config.out, identity)
    model = source.model().eval()
    for tag in {*languages} - wanted:
        drop_language(model, tag)
    fold_vocabulary(model)
    require_space(config.out, int(1.1 * sum(p.numel() * 4 for p in model.parameters())))
    with atomic_folder(config.out) as folder:
        document = _write(model, source, folder, onnx)
        write_json(folder / RECORD, {"schema": 1, "source": identity, **document})
        write_manifest(folder)
    return {"out": str(config.out), "finished_before": False, **document}


@dataclass(frozen=True)
class _Source:
    """What is exported: a checkpoint, the tokens of a sequence at most, and what its card says."""

    run: Path
    saved: Saved
    longest: int
    facts: dict[str, Any]
    scores: dict[str, dict[str, float]]

    def model(self) -> Model:
        """The model, on the CPU."""
        from polymod.tasks.finetuned import load_task_model
        from polymod.train.checkpoint import load_model

        return load_task_model(self.saved) if "task" in self.saved.facts else load_model(self.saved)


def _source(run: Path) -> _Source:
    from polymod.files import read_json
    from polymod.tasks.finetuned import Finetuned
    from polymod.train.run import RECORD as RUN
    from polymod.train.run import found

    record = read_json(run / RUN) if (run / RUN).is_file() else {}
    if "task" not in record.get("config", {}):
        saved, record = found(run)
        longest = saved.config.architecture.max_length
        return _Source(run, saved, longest, {"step": saved.step, **record["versions"]}, {})
    done = Finetuned.open(run)
    said = {"task": done.spec.task, "fine-tuned on": ", ".join(done.sources), "step": done.saved.step}
    protocol = {key.replace("_", " "): value for key, value in done.result.get("protocol", {}).items()}
    best = done.result.get("dev") or {}
    facts = {**said, "longest sequence": f"{done.longest} tokens", **protocol, **record["versions"]}
    return _Source(run, done.saved, done.longest, facts, best.get("languages", {}))


def _check(onnx: bool, tags: tuple[str, ...]) -> None:
    """Whether ONNX can be written, before any work."""
    if not onnx:
        return
    from polymod.model.hf_onnx import require

    if len(tags) != 1:
        what = f"an ONNX file holds one language, not {len(tags)}"
        raise UserError(what, where="--languages", fix=f"give one of them, as in --languages {tags[0]}")
    require()


def _check_vocabulary(config: Config, model: ModelConfig, tags: tuple[str, ...]) -> None:
    """Whether the languages have one vocabulary, which is all that a directory can hold."""
    from polymod.model.fold import vocabularies

    groups = vocabularies(model, tags)
    if len(groups) > 1:
        outs = [f"{config.out}-{tags[0] if tags[0] in model.own_vocabularies else 'all'}" for tags in groups]
        commands = [
            f"polymod export {config.run} --out {out} --languages {','.join(group)}"
            for out, group in zip(outs, groups, strict=True)
        ]
        what = f"the languages have {len(groups)} vocabularies, and a directory holds one"
        fix = "export them one vocabulary at a time:"
        raise UserError(what, where=str(config.run), fix="\n    ".join([fix, *commands]))


def _write(model: Model, source: _Source, folder: Path, onnx: bool) -> dict[str, Any]:
    """All files, and what the comparison of the model with what was written found."""
    from polymod.model import hf
    from polymod.model.card import write_card, write_tokenizer
    from polymod.model.tasks import TaskModel
    from polymod.text.tokenizers import Tokenizers
    from polymod.train.run import TOKENIZER

    spec = model.spec if isinstance(model, TaskModel) else None
    if (source.run / TOKENIZER).exists():
        path = Tokenizers(source.run).path(model.config.languages[0])
        write_tokenizer(path.read_bytes(), source.longest, folder)
    write_card(model.config, folder, spec=spec, onnx=onnx, facts=source.facts, scores=source.scores)
    if onnx:
        from polymod.model.hf_onnx import compare_onnx, write_onnx

        hf.write_config(model, folder)
        write_onnx(model, folder)
        kind, difference = "onnx", compare_onnx(model, folder)
    else:
        hf.write_model(model, folder)
        kind, difference = "transformers" if model.config.is_xmod else "polymod", hf.compare(model, folder)
    return {
        "kind": kind,
        "head": "masked" if spec is None else spec.task,
        "languages": list(model.config.languages),
        "hidden_difference": difference.hidden,
        "logits_difference": difference.logits,
    }


def _finished(out: Path, source: dict[str, Any]) -> dict[str, Any]:
    """What an earlier export of the same checkpoint found, if the directory is one and whole."""
    from polymod.files import problems, read_json

    document = read_json(out / RECORD) if (out / RECORD).is_file() else {}
    if document.pop("source", None) != source or problems(out):
        what = "the directory exists, and is no whole export of this checkpoint with these languages"
        raise UserError(what, where=str(out), fix="give another --out or remove it")
    return {"out": str(out), "finished_before": True, **document}


def show(document: dict[str, Any]) -> None:
    """What was written and how far the two sides are apart."""
    needs, other = {
        "transformers": ("loads with plain transformers", "transformers"),
        "polymod": ("loads with transformers after `import polymod`", "transformers"),
        "onnx": ("model.onnx", "onnxruntime"),
    }[document["kind"]]
    before = "exported before; " if document["finished_before"] else ""
    count = len(document["languages"])
    languages = f"{count} languages" if count > 1 else f"language {document['languages'][0]}"
    print(f"{document['out']}: {before}{languages}, {needs}")
    hidden, logits = document["hidden_difference"], document["logits_difference"]
    states = "" if hidden is None else f"hidden states differ by {hidden:.1e}, "
    print(f"compared with {other}: {states}logits differ by {logits:.1e}")
