"""Budgets made equal: steps so that languages see as many tokens, a bottleneck so that sizes are the same.

The two questions are those of any comparison of a language by itself with the same language among others:
did it see as much of its own text, and was the model as large?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from polymod.data.mixture import equally_many
from polymod.errors import UserError
from polymod.model.config import ModelConfig
from polymod.model.flops import parameters
from polymod.study.plan import Cell, Options, placed
from polymod.text.shards import Shards
from polymod.train.config import MixtureOptions, ModelOptions, TrainOptions
from polymod.train.pretraining import Pretraining


class Pretrain(Protocol):
    """The config of ``polymod pretrain``, as far as it matters here; it lies in a layer above."""

    @property
    def model(self) -> ModelOptions:
        """Sizes."""

    @property
    def train(self) -> TrainOptions:
        """Optimisation."""

    @property
    def mixture(self) -> MixtureOptions:
        """How languages share the batches."""

    def model_config_for(self, shards: Shards) -> ModelConfig:
        """The model that is trained on these shards."""


class Matcher:
    """Cells of a plan with what their runs are made of.

    Args:
        config_of: the config of ``pretrain`` with these options.
        shards_of: the data of some languages.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        config_of: Callable[[Options], Pretrain],
        shards_of: Callable[[tuple[str, ...]], Shards],
    ) -> None:
        self._cells, self._config_of, self._shards_of = cells, config_of, shards_of

    def matched(self) -> list[Cell]:
        """The cells with the options that ``examples_of`` and ``parameters_of`` decide.

        Raises:
            UserError: no single run can be matched, or with these options none can be equal.
        """
        return [self._with_parameters(self._with_examples(cell)) for cell in self._cells]

    def job(self, cell: Cell) -> Pretraining:
        """What a run is made of, before anything is trained.

        Raises:
            UserError: the options do not fit each other or the data.
        """
        config, shards = self._config_of(cell.options), self._shards_of(cell.tags)
        with placed(cell):
            return Pretraining(shards, config.model_config_for(shards), config.train, config.mixture)

    def _with_examples(self, cell: Cell) -> Cell:
        """Each language sees as many of its tokens as in the other setting's run."""
        if not (name := cell.setting.examples_of):
            return cell
        other = self.job(self._counterpart(cell, name, "examples_of"))
        wanted = other.loader.tokens_seen(other.train.steps)
        loader = self.job(cell).loader
        steps = max(1, round(sum(wanted[tag] for tag in cell.tags) / loader.tokens_per_batch))
        seen = loader.tokens_seen(steps)
        for tag in cell.tags:
            if not equally_many(seen[tag], wanted[tag], step=loader.tokens_per_batch):
                what = (
                    f"{cell.name}: no number of steps gives {tag!r} the {wanted[tag]:,.0f} tokens of {name!r}"
                )
                what += f" and the other languages theirs: in {steps:,} steps it would see {seen[tag]:,.0f}"
                fix = "give both the same --mixture options"
                raise UserError(what, where=cell.setting.places.get("examples_of", ""), fix=fix)
        return replace(cell, options={**cell.options, "train.steps": steps})

    def _with_parameters(self, cell: Cell) -> Cell:
        """The bottleneck is so wide that all parameters together are as many as the other setting's."""
        if not (name := cell.setting.parameters_of):
            return cell
        where = cell.setting.places.get("parameters_of", "")
        wanted = parameters(self.job(self._counterpart(cell, name, "parameters_of")).config)["total"]
        model = self.job(cell).config

        def total(width: int) -> int:
            sizes = model.architecture.model_copy(update={"bottleneck_size": width})
            return parameters(model.model_copy(update={"architecture": sizes}))["total"]

        slope = total(2) - total(1)
        if slope == 0:
            raise UserError(f"{cell.name}: the arm dense has no bottleneck to widen", where=where)
        width = round(1 + (wanted - total(1)) / slope)
        if width < 1:
            what = f"{cell.name} has {total(1):,} parameters at least, {name!r} has {wanted:,}"
            raise UserError(what, where=where, fix="make the rest of the model smaller")
        return replace(cell, options={**cell.options, "model.bottleneck_size": width})

    def _counterpart(self, cell: Cell, name: str, key: str) -> Cell:
        """The one run of a setting with the same seed and all languages of the cell."""
        found = [
            other
            for other in self._cells
            if other.setting.name == name and other.seed == cell.seed and {*cell.tags} <= {*other.tags}
        ]
        if len(found) != 1:
            what = f"{cell.name}: {len(found) or 'no'} runs of {name!r} have {', '.join(cell.tags)}; one must"
            raise UserError(what, where=cell.setting.places.get(key, ""), fix="name another run")
        return found[0]
