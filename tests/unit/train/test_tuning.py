"""Choices by timing: on a CPU nothing is timed and the loop over languages stays."""

import pytest
import torch

from polymod.batch import Batch
from polymod.model.packs import Packs, initial_
from polymod.train.tuning import choose_grouping

TAGS = ("de", "en", "fr")


def packs_and_batch(device: str) -> tuple[Packs, Batch]:
    packs = Packs(2, 16, 8, TAGS).to(device)
    for index, tag in enumerate(TAGS):
        initial_(packs[tag], 0.5, torch.Generator(device).manual_seed(index))
    return packs, Batch.pack([torch.arange(8)] * 3, TAGS)


def test_on_a_cpu_the_loop_stays() -> None:
    packs, batch = packs_and_batch("cpu")
    assert choose_grouping(packs, batch, torch.float32, "gelu") == {}
    assert packs.grouped_from == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_faster_way_is_taken() -> None:
    packs, batch = packs_and_batch("cuda")
    seconds = choose_grouping(packs, batch, torch.bfloat16, "gelu")
    assert packs.grouped_from == (2 if seconds["grouped"] < seconds["loop"] else 0)
    assert all(parameter.grad is None for parameter in packs.parameters())
