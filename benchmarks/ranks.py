"""Several processes beside one: losses, data, bytes; checkpoints of any number on any number; kills; hangs.

``python benchmarks/ranks.py OUT [equal] [elastic] [shares] [kills] [hangs]`` does all parts or those
named, on a world that it makes in OUT, on CPUs with gloo, and prints figures. Dropout is 0, precision fp32.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIZES = (1, 2, 4)
STEPS = 50
CASES = {
    "modular": (),
    "shared": ("--arm", "shared"),
    "surgery": ("--update", "pcgrad"),
    "gradvac": ("--update", "gradvac"),
    "balance": ("--update", "balance"),
    "meta": ("--update", "meta"),
    "meta-fast": ("--update", "meta-fast"),
}
# What of the state each process has only a share of; one process has all of it.
SHARES = {
    "packs": ("--shard-packs", "true"),
    "trunk": ("--shard", "true"),
    "both": ("--shard", "true", "--shard-packs", "true"),
}
SMALL = (
    *("--model.preset", "modern-tiny", "--model.hidden-size", "64", "--model.num-layers", "2"),
    *("--model.num-heads", "4", "--model.ffn-size", "128", "--model.bottleneck-size", "32"),
    *("--train.block-tokens", "64", "--train.batch-tokens", "512", "--train.micro-tokens", "256"),
    *("--mixture.alpha", "0", "--train.score-tokens", "2048", "--train.score-every", "100000"),
    *("--train.log-every", "1", "--train.keep", "3", "--train.device", "cpu"),
)
WORK = "RANKS_WORK"  # in the environment of a process: a file with the commands that it is to run


def polymod(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "polymod", *map(str, words)]


def train(out: Path, run: str, size: int, *more: str) -> list[str]:
    processes = ("--nproc", str(size)) if size > 1 else ()
    return polymod("pretrain", "--data", out / "data", "--out", out / run, *SMALL, *processes, *more)


def quietly(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done


def prepared(out: Path) -> None:
    """Twelve languages of a world; a step has eight blocks, so not all of them."""
    if not (out / "data" / "data.json").exists():
        world = ("--languages", "12", "--families", "3", "--sentences", "1500")
        quietly(polymod("world", "--out", out / "world", *world))
        text = ("--text", out / "world" / "text", "--vocab-size", "800")
        quietly(polymod("prepare", *text, "--out", out / "data"))


def lines_of(run: Path) -> list[dict[str, Any]]:
    from polymod.train.log import read_metrics

    return [line for line in read_metrics(run) if line["kind"] == "train"]


def hashed(*tensors: dict[str, Any]) -> str:
    """One hash over tensors by name."""
    total = hashlib.sha256()
    for each in tensors:
        for name, tensor in sorted(each.items()):
            total.update(name.encode() + tensor.detach().numpy().tobytes())
    return total.hexdigest()


def digest(run: Path) -> str:
    """Of all tensors of the last checkpoint."""
    from polymod.train.checkpoint import checkpoint_folders, read_tensors

    last = checkpoint_folders(run)[-1]
    return hashed(read_tensors(last), read_tensors(last / "optimizer"))


def weights(run: Path) -> dict[str, int]:
    """Bytes of the trunk, under ``""``, and of each language."""
    from polymod.model.partition import owner
    from polymod.train.checkpoint import checkpoint_folders, read_tensors

    found: dict[str, int] = {}
    for name, tensor in read_tensors(checkpoint_folders(run)[-1]).items():
        tag = owner(name) or ""
        found[tag] = found.get(tag, 0) + tensor.numel() * tensor.element_size()
    return found


def disjoint(out: Path, size: int) -> tuple[int, int]:
    """In how many steps no language is on two processes, and the most that one process has."""
    from polymod import config
    from polymod.commands.pretrain import Config
    from polymod.data.parts import part
    from polymod.text.shards import Shards
    from polymod.train.pretraining import Pretraining

    words = [*SMALL, "--data", str(out / "data"), "--out", "unused", "--train.steps", str(STEPS)]
    options = [(key.removeprefix("--"), value) for key, value in zip(words[::2], words[1::2], strict=True)]
    options_ = config.load(Config, None, options).value
    shards = Shards.open(options_.data)
    job = Pretraining(shards, options_.model_config_for(shards), options_.train, options_.mixture)
    apart = most = 0
    for step in range(STEPS):
        whole = job.loader.at(step)
        sets = [
            {tag for micro in part(whole, rank, size).micro for tag in micro.route.tags}
            for rank in range(size)
        ]
        apart += sum(map(len, sets)) == len(set.union(*sets))
        most = max(most, *map(len, sets))
    return apart, most


def together(out: Path, size: int, commands: list[list[str]]) -> None:
    """Run commands one after the other in ``size`` processes, which import everything once."""
    from polymod.train.launch import launch

    (out / "work.json").write_text(json.dumps(commands))
    os.environ[WORK] = str(out / "work.json")
    assert launch(size, [sys.executable, __file__]) == 0
    del os.environ[WORK]


def work() -> None:
    """What a process of ``together`` does."""
    from polymod.cli import execute

    plan = Path(os.environ[WORK])
    if os.environ["RANK"] == "0":  # who has the terminal
        with plan.with_suffix(".log").open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
    for number, words in enumerate(json.loads(plan.read_text())):
        os.environ["TORCHELASTIC_RESTART_COUNT"] = str(number)  # they meet anew
        code = loaded(*map(Path, words[1:])) if words[0] == "load" else execute(words[0], words[1:])
        assert code == 0
    os._exit(0)  # as the command line ends one of several processes


def equal(out: Path) -> None:
    """Losses, batches and bytes of 50 steps."""
    for size in SIZES:
        more = ("--train.steps", str(STEPS))
        cases = CASES if size == 1 else CASES | SHARES
        together(out, size, [train(out, f"{case}-{size}", 1, *more, *o)[3:] for case, o in cases.items()])
    for size in SIZES[1:]:
        apart, most = disjoint(out, size)
        print(f"{size} processes: languages apart in {apart} of {STEPS} steps, at most {most} on one")
    print("case       processes  largest difference  same batches  trunks a step  packs a step")
    for case, size in itertools.product(CASES | SHARES, SIZES[1:]):
        one = lines_of(out / f"{'modular' if case in SHARES else case}-1")
        many = lines_of(out / f"{case}-{size}")
        assert len(one) == len(many) == STEPS
        worst = max(abs(a["loss"] - b["loss"]) / abs(a["loss"]) for a, b in zip(one, many, strict=True))
        same = all(a["chain"] == b["chain"] for a, b in zip(one, many, strict=True))
        bytes_ = weights(out / f"{case}-{size}")
        trunks = sum(line["sent"].get("trunk", 0) for line in many) / STEPS / bytes_[""]
        packs = sum(line["sent"].get("packs", 0) for line in many) / STEPS
        active = sum(bytes_.get(tag, 0) for line in many for tag in line["languages"]) / STEPS
        shown = f"{trunks:>14.3f}  {packs:,.0f} of {active:,.0f} active"
        print(f"{case:<10} {size:>9} {worst:>19.2e} {same!s:>13} {shown}", flush=True)


def loaded(run: Path, target: Path) -> int:
    """In each of several processes: load the newest checkpoint, write the hash of all of it."""
    import torch

    from polymod.model.heads import MaskedLM
    from polymod.train.checkpoint import agreed, optimizer_tensors, restore
    from polymod.train.config import TrainOptions
    from polymod.train.loop import TrainState
    from polymod.train.optim import build_optimizer
    from polymod.train.parallel import joined

    with joined(1, torch.device("cpu"), hang_after=600.0) as ranks:
        saved, _ = agreed(run, ranks)
        assert saved is not None
        model = MaskedLM(saved.config)
        state = TrainState(model, build_optimizer(model, TrainOptions()), ranks=ranks)
        restore(state, saved)
        found = hashed(dict(model.named_parameters()), optimizer_tensors(state))
        target.mkdir(parents=True, exist_ok=True)
        (target / str(ranks.rank)).write_text(f"{found} {saved.chain}")
    return 0


def elastic(out: Path) -> None:
    """Saved by each number of processes, loaded by each, then trained on."""
    long = ("--train.steps", "40", "--train.save-every", "20")
    for size in SIZES:
        together(out, size, [train(out, f"saved-{size}", 1, *long)[3:]])
        shutil.rmtree(out / f"saved-{size}" / "checkpoints" / "step-00000040")
        for saved in SIZES:
            shutil.copytree(out / f"saved-{size}", out / f"on-{size}-{saved}")
    for size in SIZES:
        commands = [["load", str(out / f"saved-{s}"), str(out / "loaded" / f"{s}-{size}")] for s in SIZES]
        together(out, size, [*commands, *(train(out, f"on-{s}-{size}", 1, *long)[3:] for s in SIZES)])
    straight = lines_of(out / "saved-1")
    for saved, size in itertools.product(SIZES, SIZES):
        wanted = [digest(out / f"saved-{saved}"), straight[19]["chain"]]
        said = [path.read_text().split() for path in (out / "loaded" / f"{saved}-{size}").iterdir()]
        hashes = len(said) == size and all(each == wanted for each in said)
        many = lines_of(out / f"on-{saved}-{size}")
        worst = max(abs(a["loss"] - b["loss"]) / a["loss"] for a, b in zip(straight, many, strict=True))
        same = straight[-1]["chain"] == many[-1]["chain"]
        print(
            f"saved on {saved}, loaded on {size}: tensors equal by hash on every process: {hashes}; 20 steps"
        )
        print(f"  on, losses within {worst:.1e} of one process, same batches {same}", flush=True)


def shares(out: Path) -> None:
    """Saved with each kind of shares, or with none, and trained on with each."""
    long = ("--train.steps", "40", "--train.save-every", "20")
    forms = {"none-1": (1, ()), **{f"{n}-{s}": (s, o) for n, o in SHARES.items() for s in SIZES[1:]}}
    for saved, (size, options) in forms.items():
        quietly(train(out, f"form-{saved}", size, *long, *options))
    straight = lines_of(out / "form-none-1")
    print("saved, and trained on for 20 steps: largest difference of a loss from one process; same batches")
    for saved, on in itertools.product(forms, forms):
        run, (size, options) = out / f"form-{saved}-{on}", forms[on]
        shutil.copytree(out / f"form-{saved}", run)
        shutil.rmtree(run / "checkpoints" / "step-00000040")
        quietly(train(out, run.name, size, *long, *options))
        many = lines_of(run)
        worst = max(abs(a["loss"] - b["loss"]) / a["loss"] for a, b in zip(straight, many, strict=True))
        same, equal = straight[-1]["chain"] == many[-1]["chain"], ""
        if saved == on:
            equal = f", bitwise equal to going through {digest(run) == digest(out / f'form-{saved}')}"
        print(f"{saved:<8} {on:<8} {worst:.1e} {same}{equal}", flush=True)


def ranks_of(launcher: int) -> dict[int, int]:
    """Processes of a run by rank."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes().split(b"\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        rank = [word.removeprefix(b"RANK=") for word in environment if word.startswith(b"RANK=")]
        if parent == launcher and rank:
            found[int(rank[0])] = int(path.name)
    return found


@dataclass
class Hit:
    """What came of a signal to one process of a run.

    Attributes:
        rank: of the victim.
        seconds: until all were gone.
        left: processes that were not.
    """

    rank: int
    code: int
    seconds: float
    said: str
    left: int

    def shown(self, named: str) -> str:
        """In words, and whether the one error told has this name."""
        once = named in self.said and self.said.count("error:") == 1
        gone = f"all out in {self.seconds:.1f} s, left {self.left}"
        return f"rank {self.rank}, named {once}, code {self.code}, {gone}"


def hit(command: list[str], run: Path, number: signal.Signals, chance: random.Random) -> Hit:
    """Send a signal to a random process of a run, 1 to 40 steps after it went on."""
    size = int(command[command.index("--nproc") + 1])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    steps = chance.randint(1, 40) + (len(lines_of(run)) if run.exists() else 0)
    while not run.exists() or len(lines_of(run)) < steps:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    victims, rank = ranks_of(process.pid), chance.randrange(size)
    started = time.monotonic()
    os.kill(victims[rank], number)
    _, said = process.communicate(timeout=120)
    seconds = time.monotonic() - started
    left = sum(Path(f"/proc/{pid}").exists() for pid in victims.values())
    return Hit(rank, process.returncode, seconds, said, left)


def kills(out: Path) -> None:
    """A process killed 20 times, 10 times more with shares of all; the run goes on each time, and ends as one
    that was left alone.
    """
    chance = random.Random(0)
    for size in SIZES[1:]:
        killed(out, size, "none", (), 10, chance)
        killed(out, size, "both", SHARES["both"], 5, chance)


def killed(
    out: Path, size: int, shared: str, more: tuple[str, ...], times: int, chance: random.Random
) -> None:
    """A run of so many processes, each of which has a share of this."""
    from polymod.train.checkpoint import newest

    options = ("--train.steps", "450", "--train.save-every", "10", *more)
    straight, run = out / f"straight-{size}-{shared}", out / f"killed-{size}-{shared}"
    hits, name = [], f"{size} processes" + (f", shares of {shared}" if more else "")
    quietly(train(out, straight.name, size, *options))
    acknowledged, lost = -1, 0
    for number in range(times):
        hits.append(hit(train(out, run.name, size, *options), run, signal.SIGKILL, chance))
        saved, complaints = newest(run)
        step = saved.step if saved else -1
        lost += step < acknowledged or bool(complaints)
        acknowledged = max(acknowledged, step)
        shown = hits[-1].shown(f"rank {hits[-1].rank} of {size} was killed by SIGKILL")
        print(f"{name}, kill {number + 1}: {shown}, newest checkpoint {step}", flush=True)
    quietly(train(out, run.name, size, *options))
    longest = max(each.seconds for each in hits)
    print(f"{name}: acknowledged checkpoints lost {lost}, longest {longest:.1f} s", flush=True)
    same = lines_of(run)[-1]["chain"] == lines_of(straight)[-1]["chain"]
    print(f"  end state bitwise equal {digest(run) == digest(straight)}, same batches {same}", flush=True)


def hangs(out: Path) -> None:
    """A process stopped by SIGSTOP; the others name it and end."""
    chance = random.Random(1)
    for number in range(10):
        size, run = SIZES[1 + number % 2], f"hung-{number}"
        command = train(out, run, size, "--train.steps", "100000", "--hang-after", "10")
        found = hit(command, out / run, signal.SIGSTOP, chance)
        shown = found.shown(f"rank {found.rank} of {size} gave no sign of life for 10 s")
        print(f"{size} processes, hang {number + 1}: {shown}", flush=True)


def main() -> None:
    out, parts = Path(sys.argv[1]).absolute(), sys.argv[2:]
    prepared(out)
    for part in (equal, elastic, shares, kills, hangs):
        if not parts or part.__name__ in parts:
            started = time.monotonic()
            print(f"# {part.__name__}", flush=True)
            part(out)
            print(f"{part.__name__} took {time.monotonic() - started:,.0f} s", flush=True)


if __name__ == "__main__":
    work() if WORK in os.environ else main()
