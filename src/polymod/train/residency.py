"""Which languages are in memory: those of the coming steps and those used last. The others are at home.

What a step needs is known ahead, because batches are a function of ``(seed, step)``: the thread that makes
them announces their languages. Nothing here changes a result.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from polymod.batch import GlobalBatch
from polymod.metrics import StepMetrics
from polymod.model.config import ModelConfig
from polymod.model.heads import MaskedLM, initialise
from polymod.model.install import add_languages
from polymod.model.packs import Memory
from polymod.train.config import ResidencyOptions, UpdateName
from polymod.train.conflict import check_mapped
from polymod.train.mapped import MappedHome
from polymod.train.pinned import PinnedHome

State = TypeVar("State")


class Adopting(Protocol):
    """What takes languages in as they are made."""

    def memory(self, tag: str) -> Memory:
        """Where the tensors of the pack of the next language that is adopted are to lie."""

    def adopt(self, tag: str, parameters: Sequence[nn.Parameter]) -> None:
        """Take in a language and what belongs to it."""


class Home(Adopting, Protocol):
    """Where weights and moments of idle languages are. A language is at home, or out in memory."""

    owned: dict[str, list[nn.Parameter]]
    moments: Mapping[Tensor, Any]

    def bring(self, tag: str) -> None:
        """Put a language where it can be trained."""

    def expect(self, tag: str) -> None:
        """Begin to bring a language that is at home; called from another thread, under the lock."""

    def store(self, tag: str) -> None:
        """Take a language home; the next one may have its memory."""


class Residency:
    """Keeps at most so many languages out of their home.

    Args:
        home: which has taken in the languages.
        optimizer: whose moments of a language's parameters go with them, once there are some.
        most: languages that stay out, those used last, besides the ones that are needed.
    """

    def __init__(self, home: Home, optimizer: torch.optim.Optimizer, most: int) -> None:
        self.home, self.tags, self.most = home, frozenset(home.owned), most
        home.moments = optimizer.state
        self._out: OrderedDict[str, None] = OrderedDict()  # the one used last is last
        self._lock = threading.Lock()

    @property
    def out(self) -> tuple[str, ...]:
        """Languages in memory, the one used last at the end."""
        return tuple(self._out)

    def need(self, tags: Iterable[str]) -> None:
        """Bring languages; others that were not used for long go home."""
        wanted = self.tags.intersection(tags)
        with self._lock:
            for tag in sorted(wanted):
                if tag not in self._out:
                    self.home.bring(tag)
                self._out[tag] = None
                self._out.move_to_end(tag)
            idle = [tag for tag in self._out if tag not in wanted]
            for tag in idle[: max(0, len(idle) - self.most)]:
                self.home.store(tag)
                del self._out[tag]

    def let_go(self, tag: str | None) -> None:
        """Take a language home whose tensors were set or read outside of a step, if it is to be there."""
        with self._lock:
            if tag in self.tags and tag not in self._out:
                self.home.store(str(tag))

    def each(self, tags: Iterable[str]) -> Iterator[str]:
        """The languages one after the other, each in memory while the caller works on it."""
        for tag in tags:
            self.need((tag,))
            yield tag

    def expect(self, tags: Iterable[str]) -> None:
        """Begin to bring those that are at home; another thread than that of the steps may call this."""
        with self._lock:
            for tag in sorted(self.tags.intersection(tags) - self._out.keys()):
                self.home.expect(tag)


def around(
    residency: Residency | None,
    update: Callable[[State, GlobalBatch], StepMetrics],
    at: Callable[[int], GlobalBatch],
) -> tuple[Callable[[State, GlobalBatch], StepMetrics], Callable[[int], GlobalBatch]]:
    """An update that brings the languages of its batch, and batches that announce theirs when they are made.

    All languages go home first: some may have been set since the run was begun.
    """
    if residency is None:
        return update, at
    for tag in sorted(residency.tags):
        residency.let_go(tag)

    def brought(state: State, batch: GlobalBatch) -> StepMetrics:
        residency.need(languages_of(batch))
        return update(state, batch)

    def announced(step: int) -> GlobalBatch:
        batch = at(step)
        residency.expect(languages_of(batch))
        return batch

    return brought, announced


def languages_of(batch: GlobalBatch) -> set[str]:
    """Languages of the text of a step, also of what other processes compute: all of them are updated."""
    return {tag for micro in (batch.whole or batch).micro for tag in micro.route.tags if tag is not None}


def home_for(
    config: ModelConfig,
    options: ResidencyOptions,
    update: UpdateName,
    run: Path,
    device: torch.device,
    shares: int = 1,
) -> Home:
    """The home of a run's languages.

    Args:
        shares: processes that they are shared out among.

    Raises:
        UserError: they own nothing, or the update reads text of other languages than those of a step.
    """
    check_mapped(config.arm, update)
    if device.type == "cuda":
        return PinnedHome(device)
    return MappedHome(options.folder or run, -(-len(config.languages) // shares))


def begin_at_home(
    config: ModelConfig, home: Adopting, seed: int, unigrams_V: Tensor | None = None
) -> MaskedLM:
    """A model at step 0, initialised as any; each of its languages is taken in before the next is made."""
    model = MaskedLM(config.model_copy(update={"languages": config.languages[:1]}))
    initialise(model, seed, unigrams_V)
    add_languages(model, config, seed=seed, memory=home.memory, added=home.adopt)
    return model
