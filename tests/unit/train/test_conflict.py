"""Options that do not go together."""

import pytest
import torch

from _asserts import assert_user_error
from polymod.commands import extend, finetune, plan, pretrain
from polymod.config import resolve
from polymod.train.config import ResidencyOptions
from polymod.train.conflict import check_processes, check_shard, check_shard_packs
from polymod.train.parallel import Ranks

SIZES = {"batch_tokens": 70, "block_tokens": 32}
GIVEN = {
    "pretrain": (pretrain, pretrain._pretrained, {"data": "d", "train": SIZES}),
    "extend": (extend, extend._extended, {"run": "r", "language": "it", "text": "t", "train": SIZES}),
    "finetune": (
        finetune,
        finetune._finetuned,
        {"run": "r", "task": "nli", "data": "d", "source": "en", "train": {"batch_size": 2}},
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_process_without_work_is_refused_before_anything_is_read(tmp_path, name):
    module, work, given = GIVEN[name]
    config = resolve(module.Config, {**given, "out": str(tmp_path / "out")}, {}).value
    more = "batch-size" if name == "finetune" else "batch-tokens"
    said = ("6 of 8 processes would have nothing to do", "lower --nproc", f"raise --train.{more}")
    assert_user_error(lambda: work(config, Ranks(0, 8), torch.float32), *said)
    assert not (tmp_path / "out").exists()


def test_it_is_no_plan_but_for_meta_steps_whose_queries_are_shared():
    def planned(update: str) -> None:
        given = {"num_languages": 8, "nproc": 8, "update": update, "flops": 1e12, "train": SIZES}
        plan.main(resolve(plan.Config, given, {}).value)

    for update in ("joint", "meta-fast"):
        assert_user_error(lambda update=update: planned(update), "6 of 8 processes")
    planned("meta")


def test_one_process_and_as_many_as_sequences_go():
    check_processes(1, 0, "--x")
    check_processes(2, 2, "--x")


@pytest.mark.parametrize(
    ("size", "update", "mapped", "monitored", "parts"),
    [
        (
            2,
            "pcgrad",
            False,
            False,
            ("does not go with --update pcgrad: it needs", "leave out one of the two"),
        ),
        (2, "joint", False, True, ("does not go with --monitor.gradients", "leave out one of the two")),
        (2, "joint", True, False, ("does not go with --residency.mapped", "leave out one of the two")),
        (1, "joint", False, False, ("one process has nobody to share the trunk with", "give --nproc")),
    ],
)
def test_what_a_spread_trunk_does_not_go_with_is_refused(size, update, mapped, monitored, parts):
    check_shard(2, "joint", ResidencyOptions(), monitored=False)
    residency = ResidencyOptions(mapped=mapped)
    assert_user_error(lambda: check_shard(size, update, residency, monitored=monitored), *parts)


@pytest.mark.parametrize(
    ("size", "arm", "update", "parts"),
    [
        (1, "modular", "joint", ("one process has nobody to share the packs out to", "give --nproc")),
        (2, "shared", "joint", ("no packs in the shared arm", "give --arm modular")),
        (2, "modular", "meta-fast", ("--update meta-fast reads packs that are not lent", "another --update")),
        (2, "modular", "balance", ("--update balance reads packs that are not lent", "another --update")),
    ],
)
def test_what_shared_out_packs_do_not_go_with_is_refused(size, arm, update, parts):
    check_shard_packs(2, "modular", "pcgrad")
    assert_user_error(lambda: check_shard_packs(size, arm, update), "--shard-packs", *parts)
