"""``polymod extend``: languages are added to a run with everything else frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polymod.progress import bars, stderr
from polymod.train.extend_options import ExtendOptions as Config

if TYPE_CHECKING:
    import torch
    from rich.console import Console

    from polymod.text.fertility import Fertility
    from polymod.train.addition import Addition
    from polymod.train.extend import Extension
    from polymod.train.loop import TrainState
    from polymod.train.parallel import Ranks
    from polymod.train.survey import Survey

__all__ = ["Config", "main", "show"]

RESULT = "extend.json"
# What may change between one start and the next.
FREE = (
    *("out", "run", "text", "data", "train.save_every", "train.keep", "train.log_every", "train.score_every"),
    *("train.score_tokens", "train.tensorboard", "train.micro_tokens", "nproc"),
    "hang_after",
)


def main(config: Config) -> dict[str, Any]:
    """Look at the languages, prepare their text, train one after the other, prove that all else is equal."""
    from polymod.train.parallel import joined
    from polymod.train.run import device_and_dtype

    device, dtype = device_and_dtype(config.train.device, config.train.precision, where="--train.device")
    with joined(config.nproc, device, hang_after=config.hang_after) as ranks:
        return _extended(config, ranks, dtype)


def _extended(config: Config, ranks: Ranks, dtype: torch.dtype) -> dict[str, Any]:
    """The work of one process; the first one reads and writes text and has the document."""
    from polymod.files import read_json, write_json
    from polymod.text.tokenizer import load_tokenizer
    from polymod.train.addition import SURVEY, Addition
    from polymod.train.checkpoint import load_model
    from polymod.train.conflict import check_blocks
    from polymod.train.extend import Extension
    from polymod.train.loop import TrainState
    from polymod.train.optim import build_optimizer
    from polymod.train.outcome import outcome, remember
    from polymod.train.run import TOKENIZER, opened

    check_blocks(ranks.size, config.train)
    console = stderr(quiet=not ranks.first)
    addition = Addition.of(config)
    surveys = {} if (config.out / SURVEY).exists() or not ranks.first else addition.survey()
    _tell(addition, surveys, console)
    identity = addition.identity()
    with opened(config.out, config, identity=identity, free=FREE, ranks=ranks):
        if ranks.told((config.out / RESULT).exists()):
            console.print("this run is finished", markup=False)
            document = read_json(config.out / RESULT)
            return {**document, "run": str(config.out), "finished_before": True} if ranks.first else {}
        if ranks.first:
            addition.settle(surveys)
            with bars("MB", console) as group:
                addition.prepare(group)
        ranks.wait()
        survey = addition.settle({})
        extension = Extension(addition.parent.config, addition.languages(survey), config.train, ranks)
        model = load_model(addition.parent)
        extension.install(model, load_tokenizer(config.out / TOKENIZER), config.embedding_init)
        model = model.to(ranks.device)
        state = TrainState(model, build_optimizer(model, config.train), ranks=ranks)
        _train(config, extension, state, dtype, identity)
        if not ranks.first:
            return {}
        found = outcome(addition, extension, survey, ranks.device)
        remember(addition, found)
        document = {"run": str(config.out), "parent": str(config.run), "step": state.step, **found}
        write_json(config.out / RESULT, {"schema": 1, **document})
    return {**document, "finished_before": False}


def _train(
    config: Config, extension: Extension, state: TrainState, dtype: torch.dtype, identity: dict[str, Any]
) -> None:
    """Bring the state to the last step of the last language, from the newest checkpoint if there is one."""
    from polymod.files import require_space
    from polymod.model.heads import MaskedLM
    from polymod.train.checkpoint import agreed, restore, size_of
    from polymod.train.log import logged
    from polymod.train.loop import Job, fit
    from polymod.train.pretraining import saving
    from polymod.train.score import table

    train, ranks = config.train, state.ranks
    console = stderr(quiet=not ranks.first)
    saved, complaints = agreed(config.out, ranks)
    for complaint in complaints:
        console.print(f"damaged, going back to an older checkpoint: {complaint}", markup=False)
    if saved is not None:
        restore(state, saved)
        console.print(f"going on at step {state.step:,}", markup=False)
    if state.step == extension.steps:
        return
    require_space(config.out, int(2.2 * size_of(state.model)))

    def score_now(state: TrainState, _: bool) -> None:
        assert isinstance(state.model, MaskedLM)
        tag = extension.tag_at(state.step - 1)
        entropy = extension.info(tag)["unigram_entropy"]
        loss = extension.score(state.model, tag, limit=train.score_tokens)
        log.valid(state.step, table({tag: loss}, {tag: entropy}))

    together = train.model_copy(update={"steps": extension.steps})
    with logged(config.out, console, together, since=state.step, ranks=ranks) as log:
        facts = {"identity": identity}
        jobs = (Job(train.score_every, score_now), saving(config.out, train, facts=facts, console=console))
        update, until = extension.update(ranks.device, dtype), extension.steps
        mine = jobs if ranks.first else ()
        fit(state, update, extension.at, until=until, seed=train.seed, log=log.step, jobs=mine)


def _tell(addition: Addition, surveys: dict[str, Survey], console: Console) -> None:
    """What was found out about the languages, for people, before anything is trained."""
    vocab = addition.options.vocab
    shown: dict[str, Fertility] = {}
    for tag, survey in surveys.items():
        console.print(f"{tag}: {_fertility(survey.fertility)}", markup=False)
        for other, fertility in list(survey.others.items())[:5]:
            if shown.get(other) != fertility:
                console.print(f"  beside {other}: {_fertility(fertility)}", markup=False)
            shown[other] = fertility
        if not survey.others:
            console.print("  the run's data are not there, so there is nothing to compare it with")
        for warning in survey.warnings:
            console.print(f"warning: {tag}: {warning}", markup=False)
        advice = survey.advice
        if advice.vocab == vocab:
            console.print(f"{tag}: --vocab {vocab} is right: {advice.why}", markup=False)
        else:
            said = f"{tag}: --vocab {advice.vocab} is advised, not {vocab}: {advice.why}"
            console.print(f"warning: {said}", markup=False)
        if survey.relatives is not None:
            ranked = list(survey.relatives.overlap.items())[:5]
            console.print(f"{tag}: overlap {', '.join(f'{k} {v:.2f}' for k, v in ranked)}", markup=False)
            start = ", ".join(survey.relatives.chosen) or "scratch"
            console.print(f"{tag}: starts from {start}: {survey.relatives.why}", markup=False)


def _fertility(f: Fertility) -> str:
    lengths = f"{f.tokens_per_word:.2f} tokens per word, {f.characters_per_token:.2f} characters per token"
    return f"{lengths}, {f.unseen:.1%} bytes or unknown"


def show(document: dict[str, Any]) -> None:
    """A line per new language, then the proof."""
    heads = ("start", "loss", "no module", "unigram", "tokens", "epochs", "seconds")
    print(f"{'language':<12} {'vocabulary':<17} " + " ".join(f"{head:>9}" for head in heads))
    for tag, entry in document["languages"].items():
        own = entry["vocabulary"]["own_rows"]
        vocabulary = f"{entry['vocabulary']['mode']}, {own:,} own" if own else "the run's"
        without = "" if entry["no_module"] is None else f"{entry['no_module']:.3f}"
        losses = f"{entry['start']:9.3f} {entry['loss']:9.3f} {without:>9} {entry['unigram_entropy']:9.3f}"
        cost = f"{entry['tokens']:>9,} {entry['epochs']:9.1f} {entry['seconds']:9.0f}"
        print(f"{tag:<12} {vocabulary:<17} {losses} {cost}")
    for tag, entry in document["languages"].items():
        if entry["loss"] > entry["unigram_entropy"]:
            print(f"{tag} is worse than the frequencies of its tokens: give it more --train.steps or text")
    old = document["old_languages"]
    print(f"{document['run']}: {len(old)} old languages, every tensor and output bit-equal: {', '.join(old)}")
    print("nats per predicted token; no module: the same model and text without the new pack")
