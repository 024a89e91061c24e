"""Languages added to a trained model, one after the other, with all else frozen (arXiv 2205.06266).

One ``fit`` over K languages of ``train.steps`` each: step ``s`` trains language ``s // steps``. What a
language becomes does not depend on its neighbours: rate, data, masks and dropout go by the step within the
language, and only its own parameters have gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from polymod.batch import GlobalBatch
from polymod.data.loader import BatchPlan, TrainLoader
from polymod.data.masking import Masking
from polymod.data.parts import part
from polymod.errors import UserError
from polymod.metrics import LossSum, StepMetrics
from polymod.model.config import ModelConfig, OwnVocabulary
from polymod.model.heads import MaskedLM
from polymod.model.install import add_language
from polymod.model.partition import freeze, owner
from polymod.text.shards import Shards
from polymod.text.tokenizer import load_tokenizer
from polymod.train.config import TrainOptions
from polymod.train.joint import joint
from polymod.train.loop import TrainState, Update
from polymod.train.parallel import ALONE, Ranks
from polymod.train.rows import EmbeddingInit, begin_bias, begin_rows
from polymod.train.score import score_valid

_MOST_TOKENS = 2_000_000  # of the text that static vectors are made from


@dataclass(frozen=True)
class NewLanguage:
    """A language to add.

    Attributes:
        shards: its prepared text.
        init_from: languages whose mean its pack starts from.
        vocabulary: given if it has rows of its own.
    """

    tag: str
    shards: Shards
    init_from: tuple[str, ...] = ()
    vocabulary: OwnVocabulary | None = None


class Extension:
    """Languages to add to a model, put together with options and data.

    Raises:
        UserError: blocks longer than the model's positions, too little text of a language.
    """

    def __init__(
        self,
        config: ModelConfig,
        languages: Sequence[NewLanguage],
        train: TrainOptions,
        ranks: Ranks = ALONE,
    ) -> None:
        longest = config.architecture.max_length
        if train.block_tokens > longest:
            what = f"blocks of {train.block_tokens} tokens in a model of at most {longest}"
            raise UserError(what, fix="lower --train.block-tokens")
        self.languages, self.train, self.ranks = tuple(languages), train, ranks
        self.plan = BatchPlan(train.block_tokens, train.batch_tokens, train.micro_tokens, 1.0, train.seed)
        self._parts = [_Part(language, self.plan, train.mask_probability) for language in languages]

    @property
    def tags(self) -> tuple[str, ...]:
        """The new languages in the order of their training."""
        return tuple(language.tag for language in self.languages)

    @property
    def steps(self) -> int:
        """Of all languages together."""
        return len(self.languages) * self.train.steps

    @property
    def tokens_per_step(self) -> int:
        """Of whole blocks."""
        return self.plan.batch_tokens // self.plan.block * self.plan.block

    def install(self, model: MaskedLM, base: Tokenizer, how: EmbeddingInit) -> dict[str, dict[str, int]]:
        """Add the languages, untrained, to a model, and freeze all that is not theirs.

        Args:
            base: the trunk's tokenizer.
            how: their own rows begin.

        Returns:
            By tag, how many rows began in which way; nothing of languages without rows of their own.
        """
        began: dict[str, dict[str, int]] = {}
        seed = self.train.seed
        for new in self.languages:
            add_language(model, new.tag, seed=seed, init_from=new.init_from, vocabulary=new.vocabulary)
            if new.vocabulary is not None:
                pair = (base, load_tokenizer(new.shards.tokenizer_path))
                began[new.tag] = begin_rows(model, new.tag, pair, how=how, ids_N=_text(new))
                if self.train.unigram_bias:
                    begin_bias(model, new.tag, new.shards.unigram_counts(new.tag))
        names = [name for name, _ in model.named_parameters()]
        freeze(model, [name for name in names if owner(name) in self.tags])
        return began

    def at(self, step: int) -> GlobalBatch:
        """What this process computes of the batch of one optimiser step."""
        whole = self._parts[step // self.train.steps].loader.at(step % self.train.steps)
        return part(whole, self.ranks.rank, self.ranks.size)

    def tag_at(self, step: int) -> str:
        """The language that a step trains."""
        return self.tags[step // self.train.steps]

    def update(self, device: torch.device, dtype: torch.dtype) -> Update[GlobalBatch]:
        """The joint update, for which every language begins at step 0."""
        jointly = joint(self.train, device, dtype)

        def update(state: TrainState, batch: GlobalBatch) -> StepMetrics:
            tag, step = self.tag_at(state.step), state.step % self.train.steps
            state.ranks.seed(self.train.seed, "dropout", tag, step)
            within = copy(state)
            within.step = step
            return jointly(within, batch)

        return update

    def score(self, model: MaskedLM, tag: str, *, limit: int, module: bool = True) -> LossSum:
        """Loss of a new language on the first ``limit`` tokens of its valid split.

        Args:
            module: False for the control: the same rows through no module.
        """
        part, via = self._parts[self.tags.index(tag)], {} if module else {tag: None}
        shards = part.language.shards
        losses = score_valid(model, shards, (tag,), part.masking, self.plan, limit=limit, via=via)
        return losses.get(tag, LossSum())

    def info(self, tag: str) -> dict[str, Any]:
        """What ``data.json`` says about a language's text."""
        return self.languages[self.tags.index(tag)].shards.info(tag)

    def epochs(self, tag: str) -> float:
        """How often a language's text is seen."""
        return self._parts[self.tags.index(tag)].loader.epochs(self.train.steps)[tag]


class _Part:
    """Data of one language."""

    def __init__(self, language: NewLanguage, plan: BatchPlan, mask_probability: float) -> None:
        shards, v = language.shards, language.shards.vocabulary
        self.language = language
        self.masking = Masking(v.mask_id, v.special, v.size, mask_probability)
        self.loader = TrainLoader(shards, (language.tag,), self.masking, plan, bos_id=v.bos_id)
        if shards.num_tokens(language.tag, "valid") < 8:
            what = f"language {language.tag!r} has no text in the valid split"
            raise UserError(what, fix="give more text, or the same in more lines: a line is a document")


def _text(language: NewLanguage) -> NDArray[np.int64]:
    """The first tokens of a language's training text."""
    length = min(_MOST_TOKENS, language.shards.num_tokens(language.tag, "train"))
    start = np.zeros(1, dtype=np.int64)
    ids_N: NDArray[np.int64] = language.shards.take(language.tag, "train", start, length)[0].astype(np.int64)
    return ids_N
