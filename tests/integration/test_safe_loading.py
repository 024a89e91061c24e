"""Loading what polymod writes runs no code: no unpickling, no connections, no process but polymod's own."""

from __future__ import annotations

from pathlib import Path

from _toys import run

SMALL = (
    *(
        "--model.preset",
        "tiny",
        "--model.hidden-size",
        "32",
        "--model.num-layers",
        "1",
        "--model.ffn-size",
        "48",
    ),
    *("--model.bottleneck-size", "16", "--train.block-tokens", "32", "--train.batch-tokens", "256"),
    *("--train.steps", "4"),
)
WATCHED = """
import sys
seen = []

def watch(event, arguments):
    if event in {"pickle.find_class", "subprocess.Popen", "os.system", "os.posix_spawn", "socket.connect"}:
        if "polymod.text.examine" not in str(arguments):  # the child that opens a tokenizer first
            seen.append((event, str(arguments)[:200]))

from polymod import cli
import torch, transformers, safetensors, huggingface_hub
sys.addaudithook(watch)
data, folder, *small = sys.argv[1:]
run, exported, imported = f"{folder}/run", f"{folder}/exported", f"{folder}/imported"
for words in (
    ["pretrain", "--data", data, "--out", run, *small],
    ["pretrain", "--data", data, "--out", run, *small],
    ["score", run, "--data", data, "--max-tokens", "512"],
    ["export", run, "--out", exported],
    ["import", exported, "--out", imported],
    ["score", imported, "--data", data, "--max-tokens", "512"],
    ["check-data", data],
    ["verify", folder],
):
    if code := cli.execute(words[0], [*words[1:], "--debug"]):
        sys.exit(code)
if seen:
    sys.exit("\\n".join(map(str, seen)))
"""


def test_nothing_is_unpickled_started_or_connected(data: Path, tmp_path: Path) -> None:
    done = run("-c", WATCHED, data, tmp_path, *SMALL)
    assert done.returncode == 0, done.stderr


def test_the_watch_sees_what_it_is_to_see() -> None:
    script = (
        WATCHED.split("data, folder")[0] + "import pickle; pickle.loads(pickle.dumps(print)); print(seen)"
    )
    assert "pickle.find_class" in run("-c", script).stdout
