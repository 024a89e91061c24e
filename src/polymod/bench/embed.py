"""The embed suite: sentences of eight languages in one call, beside a loop over transformers' X-MOD.

Both sides have the same weights and tokenizer, tokenise, and take the mean of the last layer over the tokens
without ``<s>`` and ``</s>``. Theirs is what people write: for each language, ``set_default_language`` and
padded batches of 32 sentences, in the order given or sorted by length, or one batch for each language; with
SDPA, in inference mode. Both cut what is longer than the model.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, trainers

from polymod.bench.peers import bench_config
from polymod.bench.timing import interleaved, ratio
from polymod.errors import Failure
from polymod.languages import resolve_all
from polymod.model.config import ModelConfig
from polymod.model.heads import MaskedLM, initialise
from polymod.model.hf_names import hub_config, hub_name, to_hub
from polymod.model.install import changed
from polymod.tasks.embedding import Vectors, embed, encode, normalised
from polymod.tasks.examples import some
from polymod.tasks.lines import lines as read_lines
from polymod.tasks.lines import refuse
from polymod.tasks.parallel import files_below
from polymod.text.tokenizer import PAD, TOKENIZER, UNK, build_tokenizer
from polymod.text.tokenizers import Tokenizers
from polymod.worlds.world import World

LANGUAGES, EACH, BATCH = 8, 125, 32
PIECES = 8000
TOLERANCE = 1e-5

Case = dict[str, Any]


def cases(sentences: Path | None, languages: Sequence[str] = ()) -> dict[str, Callable[[int], Case]]:
    """The cases; on the lines of the files below ``sentences``, if given, instead of a world's sentences.

    Args:
        languages: of the files; eight spread over the folder if empty.
    """
    return {
        f"embed_installed_{count}": partial(beside_loop, count, sentences, tuple(languages))
        for count in (LANGUAGES, 10 * LANGUAGES)
    }


def beside_loop(installed: int, sentences: Path | None, languages: Sequence[str], rounds: int) -> Case:
    """Sentences per second over those of the loop; the same vectors as theirs, and as one by one.

    Raises:
        Failure: vectors differ.
    """
    texts, tags = mixed_sentences(sentences, languages)
    with tempfile.TemporaryDirectory() as folder:
        trained_tokenizer(texts).save(str(Path(folder) / TOKENIZER))
        tokenizers = Tokenizers(Path(folder))
        ours = Ours(_model(tokenizers.of(tags[0]), tags, installed), tokenizers)
        theirs = Theirs(ours.model, tokenizers.of(tags[0]))
        vectors = ours(texts, tags)
        alone = np.concatenate([ours([text], [tag]) for text, tag in zip(texts, tags, strict=True)])
        differences = {
            "vector_difference": float(np.abs(vectors - theirs(texts, tags)).max()),
            "alone_difference": float(np.abs(vectors - alone).max()),
        }
        padding, tokens = theirs.padding, theirs.tokens
        if max(differences.values()) > TOLERANCE:
            raise Failure(f"vectors differ: {differences}")
        contenders: Mapping[str, Callable[[], object]] = {
            "ours": lambda: ours(texts, tags),
            "theirs": lambda: theirs(texts, tags),
            "sorted": lambda: theirs(texts, tags, by_length=True),
            "whole": lambda: theirs(texts, tags, batch=len(texts)),
        }
        seconds = interleaved(contenders, rounds)
    return {
        "ratio": ratio(seconds["theirs"], seconds["ours"]),
        "ratio_over_sorted": ratio(seconds["sorted"], seconds["ours"]),
        "ratio_over_whole": ratio(seconds["whole"], seconds["ours"]),
        **differences,
        "sentences_per_second": {
            side: len(texts) / statistics.median(each) for side, each in seconds.items()
        },
        "padding": padding,
        "tokens": tokens,
    }


def mixed_sentences(folder: Path | None, languages: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """Sentences in several languages in turn, and the language of each.

    Raises:
        UserError: no such folder or language, or a file has too few lines.
    """
    if folder is None:
        world = World(seed=0, num_languages=LANGUAGES, num_families=4)
        lines = {
            tag: [record["text"] for record in world.task("retrieval", tag, "test", EACH)]
            for tag in world.tags
        }
    else:
        files = files_below(folder)
        there = [*files]
        spread = there[:: max(1, len(there) // LANGUAGES)][:LANGUAGES]
        asked = resolve_all(languages, there, where="--languages")
        lines = {tag: _some_lines(files[tag]) for tag in asked or spread}
    texts = [text for row in zip(*lines.values(), strict=True) for text in row]
    return texts, list(lines) * (len(texts) // len(lines))


def _some_lines(path: Path) -> list[str]:
    """A choice of the lines of a file that never changes."""
    there = [line for _, line in read_lines(path) if line.strip()]
    if len(there) < EACH:
        refuse(f"{len(there)} lines, not {EACH}", str(path), fix="leave the language out with --languages")
    return some(there, EACH)


def trained_tokenizer(texts: Sequence[str]) -> Tokenizer:
    """A tokenizer in polymod's layout, trained on the texts themselves."""
    layout = build_tokenizer([("\u2581", -1.0)])
    learner = Tokenizer(models.Unigram())
    learner.normalizer, learner.pre_tokenizer = layout.normalizer, layout.pre_tokenizer
    trainer = trainers.UnigramTrainer(
        vocab_size=PIECES, unk_token=UNK, special_tokens=[UNK], show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    pieces = json.loads(learner.to_str())["model"]["vocab"]
    return build_tokenizer([(piece, score) for piece, score in pieces if piece != UNK])


def _model(tokenizer: Tokenizer, tags: Sequence[str], installed: int) -> MaskedLM:
    used = list(dict.fromkeys(tags))
    others = [f"qaa-x-{index:04d}" for index in range(installed - len(used))]
    config = bench_config("modular", num_languages=1, vocab_size=tokenizer.get_vocab_size())
    longer = config.architecture.model_copy(update={"max_length": 512})
    model = MaskedLM(changed(config, languages=[*used, *others], architecture=longer))
    initialise(model, seed=0)
    return model.eval()


class Ours:
    """One call for all sentences."""

    def __init__(self, model: MaskedLM, tokenizers: Tokenizers) -> None:
        self.model, self.tokenizers = model, tokenizers

    def __call__(self, texts: Sequence[str], tags: Sequence[str]) -> Vectors:
        """Vectors of length 1, (S, D)."""
        sequences = encode(texts, tags, self.tokenizers, self.model.config, truncate=True)
        return normalised(embed(self.model.encoder, sequences, tags)[0])


class Theirs:
    """A loop over the languages, with padded batches.

    Attributes:
        tokens, padding: real tokens of the last call, and the share of its rows that were padding.
    """

    def __init__(self, model: MaskedLM, tokenizer: Tokenizer) -> None:
        from transformers import PreTrainedTokenizerFast

        self.config: ModelConfig = model.config
        self.model = _twin(model)
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD)
        self.tokens, self.padding = 0, 0.0

    @torch.inference_mode()
    def __call__(
        self, texts: Sequence[str], tags: Sequence[str], *, by_length: bool = False, batch: int = BATCH
    ) -> Vectors:
        """Vectors of length 1, (S, D), from batches of at most so many sentences of a language."""
        vectors = np.empty((len(texts), self.config.architecture.hidden_size), np.float32)
        self.tokens, rows = 0, 0
        for tag in dict.fromkeys(tags):
            self.model.set_default_language(hub_name(self.config, tag))
            mine = [index for index, each in enumerate(tags) if each == tag]
            if by_length:
                mine.sort(key=lambda index: len(texts[index]))
            for at in range(0, len(mine), batch):
                chosen = mine[at : at + batch]
                padded = self.tokenizer(
                    [texts[i] for i in chosen],
                    padding=True,
                    truncation=True,
                    max_length=self.config.architecture.max_length,
                    return_tensors="pt",
                )
                inputs = {"input_ids": padded["input_ids"], "attention_mask": padded["attention_mask"]}
                hidden_STD = self.model(**inputs).last_hidden_state
                lengths_S = padded["attention_mask"].sum(1)
                places_T = torch.arange(hidden_STD.shape[1])
                inner_ST1 = ((places_T > 0) & (places_T < lengths_S[:, None] - 1))[..., None]
                mean_SD = (hidden_STD * inner_ST1).sum(1) / (lengths_S[:, None] - 2)
                vectors[chosen] = torch.nn.functional.normalize(mean_SD, dim=-1).numpy()
                self.tokens += int(lengths_S.sum())
                rows += padded["input_ids"].numel()
        self.padding = 1 - self.tokens / rows
        return vectors


def _twin(model: MaskedLM) -> Any:
    """The same encoder in ``transformers``."""
    from transformers import XmodConfig, XmodModel

    document = hub_config(model.config)
    del document["architectures"], document["model_type"]
    twin = XmodModel._from_config(XmodConfig(**document), attn_implementation="sdpa")
    weights = to_hub(model.state_dict(), model.config)
    encoder = {name.removeprefix("roberta."): t for name, t in weights.items() if name.startswith("roberta.")}
    missing, unexpected = twin.load_state_dict(encoder, strict=False)
    assert not unexpected
    assert all(name.startswith("pooler.") for name in missing)
    return twin.eval()
