"""Fine-tune on one language, evaluate on all.

``python benchmarks/transfer.py RUN DATA OUT SOURCE TASKS [SEEDS] [-- ...]``

TASKS are names with their folder below DATA, such as ``nli,ner=ner/wikiann,pos,qa``. Each is fine-tuned SEEDS
times (1 by default) on SOURCE and evaluated on every language that has data and a module, with the controls;
words behind ``--`` go to every ``finetune``. Finished parts are not done again. Prints one table per task.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any


def polymod(*words: object) -> dict[str, Any]:
    """One command's JSON document."""
    command = [sys.executable, "-m", "polymod", *map(str, words), "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main() -> None:
    words, options = sys.argv[1:], []
    if "--" in words:
        cut = words.index("--")
        words, options = words[:cut], words[cut + 1 :]
    run, data, out = map(Path, words[:3])
    source, tasks = words[3], words[4].split(",")
    seeds = int(words[5]) if len(words) > 5 else 1
    for each in tasks:
        task, _, folder = each.partition("=")
        files = data / (folder or task)
        folders = [out / f"{task}-{seed}" for seed in range(seeds)]
        for seed, place in enumerate(folders):
            learnt = ("--task", task, "--data", files, "--source", source, "--out", place)
            polymod("finetune", run, *learnt, "--train.seed", seed, *options)
        print(f"\n## {task}\n", flush=True)
        subprocess.run(
            [sys.executable, "-m", "polymod", "transfer", *folders, "--data", files, "--module", "all"],
            check=True,
        )


if __name__ == "__main__":
    main()
