"""The suite of scale: steps, memory and checkpoints of a model with 2,000 languages over one with 8.

Sizes are those of the preset ``small`` with 32,000 rows of vocabulary; a step has text in 8 languages. Idle
languages of the large model are out of memory (``--residency.mapped``).
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polymod.batch import GlobalBatch
from polymod.bench import processes
from polymod.bench.peers import bench_config
from polymod.bench.stepping import masking
from polymod.bench.timing import interleaved_by_two_clocks, ratio
from polymod.bench.vocabulary import shares as vocabulary_shares
from polymod.data.loader import pack_blocks
from polymod.model.config import PRESETS
from polymod.model.heads import MaskedLM, initialise
from polymod.train.checkpoint import save
from polymod.train.config import ResidencyOptions, TrainOptions
from polymod.train.joint import joint
from polymod.train.loop import TrainState, Update
from polymod.train.optim import build_optimizer
from polymod.train.residency import Residency, around, begin_at_home, home_for

Case = dict[str, Any]
ACTIVE, BLOCK, VOCAB = 8, 256, 32_000
CPU = torch.device("cpu")
IDLE = 32  # languages that stay in memory, as is the default
OPTIONS = TrainOptions(steps=10**6, warmup=0.0, batch_tokens=ACTIVE * BLOCK, block_tokens=BLOCK)


class Contender:
    """A model in training, and its steps in some of its languages.

    Args:
        folder: of the file of idle languages; without one all are in memory.
        rows: of the vocabulary, if not those of the other cases.
    """

    def __init__(self, languages: int, folder: Path | None, rows: int = 0) -> None:
        sizes = PRESETS["small"]["model"]
        assert isinstance(sizes, dict)
        config = bench_config("modular", num_languages=languages, vocab_size=rows or VOCAB, sizes=sizes)
        if folder is None:
            model, home = MaskedLM(config), None
            initialise(model, seed=0)
        else:
            options = ResidencyOptions(mapped=True, languages=IDLE)
            home = home_for(config, options, "joint", folder, CPU)
            model = begin_at_home(config, home, seed=0)
        optimizer = build_optimizer(model, OPTIONS)
        residency = Residency(home, optimizer, IDLE) if home else None
        self.state = TrainState(model, optimizer, residency=residency)
        self._update: Update[GlobalBatch] = joint(OPTIONS, CPU, torch.float32)
        self._update, _ = around(residency, self._update, lambda _: self._batch)
        self._batch = batch_of(self, range(ACTIVE))

    def step(self, batch: GlobalBatch | None = None) -> None:
        """One optimiser step; without a batch, in the same languages as always."""
        self._update(self.state, batch or self._batch)
        self.state.step += 1


def batch_of(contender: Contender, numbers: Sequence[int]) -> GlobalBatch:
    """A block in each of some languages, or several where a number comes again."""
    config = contender.state.model.config
    tags = [config.languages[number] for number in sorted(numbers)]
    generator = np.random.default_rng(0)
    ids_BT = generator.integers(4, VOCAB - 1, (len(tags), BLOCK))
    masked_BT, predicted_BT = masking(config, OPTIONS)(ids_BT, np.arange(len(tags), dtype=np.uint64))
    micro = pack_blocks(tags, masked_BT, ids_BT, predicted_BT)
    return GlobalBatch((micro,), len(micro.targets_M), "")


def step_time(languages: int, rounds: int) -> Case:
    """Step time, the optimiser included; 8 languages in the batch, always the same."""
    with _scratch() as folder:
        few, many = Contender(ACTIVE, None), Contender(languages, folder)
        seconds, cpu = interleaved_by_two_clocks({"few": few.step, "many": many.step}, rounds)
    return {
        "ratio": ratio(seconds["many"], seconds["few"]),
        "of_processor_time": ratio(cpu["many"], cpu["few"]),
        "seconds_per_step": statistics.median(seconds["few"]),
        "target": 1.02,
    }


def turnover(languages: int, rounds: int) -> Case:
    """Step time when every step has 8 other languages: they come, get moments, and go home."""
    with _scratch() as folder:
        few, many = Contender(ACTIVE, None), Contender(languages, folder)
        first = iter(range(0, languages - ACTIVE, ACTIVE))

        def others() -> None:
            start = next(first)
            many.step(batch_of(many, range(start, start + ACTIVE)))

        def same() -> None:
            few.step(batch_of(few, range(ACTIVE)))

        for _ in range(IDLE // ACTIVE):
            others()
        seconds, cpu = interleaved_by_two_clocks({"few": same, "many": others}, rounds)
    return {
        "ratio": ratio(seconds["many"], seconds["few"]),
        "of_processor_time": ratio(cpu["many"], cpu["few"]),
    }


def memory(languages: int, rounds: int, *, mapped: bool = True) -> Case:
    """Peak memory of a process that begins a run, makes steps and saves a checkpoint.

    Every tensor has pages of its own, which go back when it does. Otherwise glibc learns from the order of
    calls which memory to keep, and the peak of one and the same run is another each time, by a tenth.
    """
    few, many = [], []
    with _environment("MALLOC_MMAP_THRESHOLD_", str(2**18)):
        for _ in range(min(rounds, 2)):
            few.append(in_a_process(peaks, ACTIVE, False))
            many.append(in_a_process(peaks, languages, mapped))
    parts = {
        part: ratio([each[part] for each in many], [each[part] for each in few])["median"] for part in few[0]
    }
    highest = [[max(each.values()) for each in of] for of in (many, few)]
    spread = ratio(*highest)
    bytes_ = {"bytes_few": statistics.median(highest[1]), "bytes_many": statistics.median(highest[0])}
    return {"ratio": spread, "by_part": parts, **bytes_, **({"target": 1.05} if mapped else {})}


def peaks(languages: int, mapped: bool) -> dict[str, float]:
    """Bytes of memory at the peaks of this process, by what it did."""
    found: dict[str, float] = {}
    with _scratch() as folder:
        made: list[Contender] = []
        parts: dict[str, Callable[[], object]] = {
            "begin": lambda: made.append(Contender(languages, folder if mapped else None)),
            "steps": lambda: made[0].step(),
            "save": lambda: save(made[0].state, folder, facts={}, keep=2),
        }
        for part in ("begin", "steps", "steps", "save", "steps"):
            parts[part]()
            found[part] = max(_peak(), found.get(part, 0.0))
    return found


def checkpoint(languages: int, rounds: int) -> Case:
    """Bytes that a checkpoint writes after a step in 8 languages, and the time that it takes.

    ``of_64_over_8``: bytes for the sake of languages when 64 were trained since the last one.
    """
    with _scratch() as folder, _scratch() as other:
        few, many = Contender(ACTIVE, None), Contender(languages, folder)
        first = {"few": _saved(few, other), "many": _saved(many, folder)}  # nothing to link to yet
        taken: dict[str, list[dict[str, float]]] = {"few": [], "many": []}
        for _ in range(min(rounds, 3)):
            taken["few"].append(_saved(few, other))
            taken["many"].append(_saved(many, folder))
        for start in range(ACTIVE, 64, ACTIVE):
            many.step(batch_of(many, range(start, start + ACTIVE)))
        more = _saved(many, folder)["of_languages"]
    found = {
        name: ratio([each[name] for each in taken["many"]], [each[name] for each in taken["few"]])
        for name in ("bytes", "seconds", "of_languages")
    }
    return {
        "ratio": found["bytes"],
        "of_seconds": found["seconds"],
        "of_64_over_8": more / taken["many"][0]["of_languages"],
        "few": taken["few"][0],
        "many": taken["many"][0],
        "first": first,
    }


def _saved(contender: Contender, run: Path) -> dict[str, float]:
    """A step in the same languages as always, and what a checkpoint then takes."""
    contender.step()
    started = time.perf_counter()
    place = save(contender.state, run, facts={}, keep=2)
    spent = time.perf_counter() - started
    return {"seconds": spent, "bytes": new_bytes(place), "of_languages": new_bytes(place, "lang-*")}


def vocabulary(blocks: int, rounds: int) -> Case:
    """What a step pays for 250,002 rows of vocabulary beside its matrix products."""
    rows = 250_002
    contender = Contender(ACTIVE, None, rows)
    batch = batch_of(contender, [number % ACTIVE for number in range(ACTIVE * blocks)])
    found = vocabulary_shares(lambda: contender.step(batch), rows, min(rounds, 3))
    return {**found, "tokens": sum(micro.num_tokens for micro in batch.micro)}


def new_bytes(checkpoint: Path, pattern: str = "*") -> int:
    """Bytes of the files that the checkpoint before does not have."""
    files = [path.stat() for path in checkpoint.rglob(pattern) if path.is_file()]
    return sum(stat.st_size for stat in files if stat.st_nlink == 1)


def in_a_process(measure: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """What a function measures in a process of its own, which has no memory of anything else."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, *arguments).result()


def _peak() -> float:
    """Bytes that this process has held at most since the last call, pages of files among them."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
    return 1024.0 * int(peak)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable of the environment, for processes that are started meanwhile."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


CASES: dict[str, Callable[[int], Case]] = {
    "step_time_128_over_8": partial(step_time, 128),
    "step_time_2000_over_8": partial(step_time, 2000),
    "turnover_2000_over_8": partial(turnover, 2000),
    "memory_128_over_8": partial(memory, 128),
    "memory_2000_over_8": partial(memory, 2000),
    "memory_2000_all_there": partial(memory, 2000, mapped=False),
    "checkpoint_2000_over_8": partial(checkpoint, 2000),
    "vocabulary_2048_tokens": partial(vocabulary, 1),
    "vocabulary_16384_tokens": partial(vocabulary, 8),
    "processes_2_over_1": partial(processes.beside_one, 2),
    "processes_4_over_1": partial(processes.beside_one, 4),
}
