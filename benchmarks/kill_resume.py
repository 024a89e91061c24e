"""Kill a training run at random moments, resume it by the same command, compare it with one that was left
alone.

``python benchmarks/kill_resume.py OUT KILLS -- --data DATA --model.preset modern-tiny --train.steps 400 ...``
runs ``polymod pretrain`` in OUT/straight and OUT/killed and prints the hashes of the final weights, and
whether a checkpoint that had been acknowledged was ever lost.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

from polymod.train.checkpoint import checkpoint_folders, newest


def command(run: Path, words: list[str]) -> list[str]:
    return [sys.executable, "-m", "polymod", "pretrain", "--out", str(run), *words]


def digest(run: Path) -> str:
    """One hash over all tensors files of the last checkpoint."""
    total = hashlib.sha256()
    for path in sorted(checkpoint_folders(run)[-1].rglob("*.safetensors")):
        total.update(path.read_bytes())
    return total.hexdigest()


def last_step(run: Path) -> int:
    """Step of the newest whole checkpoint, -1 if there is none yet."""
    saved, complaints = newest(run)
    assert not complaints, complaints
    return saved.step if saved else -1


def main() -> None:
    out, kills, words = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[4:]
    straight, killed = out / "straight", out / "killed"
    started = time.monotonic()
    subprocess.run(command(straight, words), check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    chance, acknowledged, lost = random.Random(0), -1, 0
    for number in range(kills):
        process = subprocess.Popen(
            command(killed, words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.1, 2.5) * seconds / kills)
        process.kill()
        ended = process.wait() == 0
        step = last_step(killed) if killed.exists() else -1
        lost += step < acknowledged
        print(
            f"kill {number + 1}: newest whole checkpoint at step {step}{' (it had ended)' if ended else ''}",
            flush=True,
        )
        acknowledged = max(step, acknowledged)
    subprocess.run(command(killed, words), check=True, stdout=subprocess.DEVNULL)
    print(f"acknowledged checkpoints lost: {lost} of {kills} kills")
    print(f"straight {digest(straight)}\nkilled   {digest(killed)}")
    same = digest(straight) == digest(killed)
    print("bitwise equal" if same else "DIFFERENT")
    sys.exit(not same)


if __name__ == "__main__":
    main()
