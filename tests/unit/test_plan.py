"""``plan`` counts without building: X-MOD base with 75 languages, warnings for languages seen too often."""

import json
import subprocess
import sys

import pytest

from polymod.cli import execute
from polymod.commands import plan as planning
from polymod.commands import pretrain
from polymod.config import fields

RATE = ("--flops", "1e12")


def plan(capsys, *words: str) -> dict:
    assert execute("plan", [*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_nothing_is_built_not_even_torch_is_imported():
    words = ["plan", "--model.preset", "base", "--num-languages", "75", "--flops", "1e12", "--json"]
    script = f"import sys; from polymod.cli import execute; assert execute('plan', {words[1:]}) == 0; "
    script += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_xmod_base_with_75_languages(capsys):
    document = plan(capsys, "--model.preset", "base", "--num-languages", "75", "--flops", "1e12")
    assert document["parameters"]["pack"] == 7_091_712
    assert document["parameters"]["total"] == pytest.approx(810.2e6, rel=1e-3)
    assert document["memory"]["weights"] == 4 * document["parameters"]["total"]
    flops = document["flops"]
    assert flops["per_token"]["total"] == pytest.approx(782e6, rel=2e-3)
    assert document["time"]["device"]["seconds"] == pytest.approx(flops["total"] / 1e12)


def test_it_has_every_option_of_pretrain():
    assert fields(pretrain.Config).keys() <= fields(planning.Config).keys()


def test_it_takes_the_config_file_of_pretrain(tmp_path, capsys):
    file = tmp_path / "run.yaml"
    file.write_text(
        "arm: shared\nlanguages: [en, no, de]\nmodel: {preset: tiny}\ntrain: {steps: 7}\nout: x\n"
    )
    document = plan(capsys, str(file), "--vocab-size", "1000", "--flops", "1e9")
    assert document["arm"] == "shared"
    assert document["num_languages"] == 3
    assert document["tokens"] == 7 * 2048


def test_people_get_a_table(capsys):
    assert execute("plan", ["--model.preset", "tiny", "--num-languages", "2", "--flops", "1e9"]) == 0
    said = capsys.readouterr().out
    assert "parameters" in said
    assert all(len(line) <= 100 for line in said.splitlines())


def test_a_run_that_fits_needs_no_change(capsys):
    document = plan(capsys, "--model.preset", "base", "--num-languages", "75", "--device-memory", "50", *RATE)
    assert document["device"] == {"memory": 50_000_000_000, "fits": True, "changes": []}


@pytest.mark.parametrize(
    ("words", "memory", "names"),
    [
        (["--model.preset", "base", "--num-languages", "75"], "24", [{"train.micro-tokens"}]),
        (
            ["--model.preset", "base", "--num-languages", "75", "--update", "pcgrad"],
            "18",
            [{"train.micro-tokens", "treatment.hold"}],
        ),
        (
            ["--model.preset", "base", "--num-languages", "1000"],
            "40",
            [{"train.micro-tokens", "languages"}, {"train.micro-tokens", "model.preset"}],
        ),
        (
            ["--model.preset", "small", "--num-languages", "2000", "--vocab-size", "32000"],
            "6",
            [{"train.micro-tokens", "residency.mapped"}],
        ),
        (
            ["--model.preset", "base", "--num-languages", "75", "--train.micro-tokens", "512"],
            "14.1",
            [{"train.precision"}, {"languages"}, {"model.preset"}],
        ),
        (["--model.preset", "tiny", "--num-languages", "2"], "0.001", []),
    ],
)
def test_what_would_have_to_change_fits_when_it_is_given(words, memory, names, capsys):
    options = [*words, "--device-memory", memory, *RATE]
    device = plan(capsys, *options)["device"]
    assert not device["fits"]
    assert [set(way["options"]) for way in device["changes"]] == names
    for way in device["changes"]:
        given = dict(way["options"])
        if "languages" in given:
            options = [*options, "--num-languages", given.pop("languages").split()[0]]
        changed = [word for name, value in given.items() for word in (f"--{name}", value)]
        kept = [
            word for word in options if word not in ("--model.preset", "base") or "model.preset" not in given
        ]
        after = plan(capsys, *kept, *changed)
        assert after["device"]["fits"]
        assert after["memory"]["total"] <= float(memory) * 1e9


def test_idle_languages_are_counted_as_disk_when_they_are_out_of_memory(capsys):
    words = ["--model.preset", "small", "--num-languages", "2000", "--train.batch-tokens", "2048", *RATE]
    with_all = plan(capsys, *words)
    without = plan(capsys, *words, "--residency.mapped", "true", "--residency.languages", "2")
    pack = with_all["parameters"]["pack"]
    for part, moments in (("weights", 1), ("optimizer", 2)):
        assert with_all["memory"][part] - without["memory"][part] == 4 * moments * pack * (2000 - 8 - 2)
    assert (with_all["disk"]["idle"], without["disk"]["idle"]) == (0, 12 * 2000 * pack)
    three = plan(capsys, *words, "--residency.mapped", "true", "--nproc", "3")
    assert three["disk"]["idle"] == 3 * without["disk"]["idle"]  # each process has its file
    meta = plan(capsys, *words, "--update", "meta", "--device-memory", "2")["device"]["changes"]
    assert not any("residency.mapped" in way["options"] for way in meta)


def test_micro_batches_are_no_smaller_than_needed(capsys):
    words = ["--model.preset", "base", "--num-languages", "75", "--device-memory", "24", *RATE]
    (way,) = plan(capsys, *words)["device"]["changes"]
    twice = str(2 * int(way["options"]["train.micro-tokens"]))
    assert not plan(capsys, *words, "--train.micro-tokens", twice)["device"]["fits"]


def test_processes_send_the_trunk_and_the_languages_of_a_step(capsys):
    words = ["--model.preset", "tiny", "--num-languages", "50", "--train.batch-tokens", "512", *RATE]
    document = plan(capsys, *words, "--nproc", "4", "--bandwidth", "2")
    p, sent = document["parameters"], document["communication"]
    assert sent["reduced"] == 4 * (p["total"] - p["packs"] + 4 * p["pack"])  # 4 blocks of 128 tokens
    assert sent["sent"] == 1.5 * sent["reduced"]
    assert sent["seconds_per_step"] == pytest.approx(sent["sent"] / 2e9)
    assert plan(capsys, *words)["communication"] == {}


@pytest.mark.parametrize("update", ["joint", "pcgrad", "meta-fast", "meta"])
def test_time_is_measured_if_asked_for(update, capsys):
    sizes = ["--model.preset", "tiny", "--model.num-layers", "1", "--model.hidden-size", "16"]
    data = ["--num-languages", "3", "--vocab-size", "400", "--train.steps", "10", "--update", update]
    batch = ["--train.batch-tokens", "1024", "--train.micro-tokens", "256"]
    measured = plan(capsys, *sizes, *data, *batch, "--calibrate", "1", *RATE)["time"]["measured"]
    assert measured["rounds"] == 1
    assert 0 < measured["seconds_per_step"] < 20
    assert measured["seconds"] == pytest.approx(10 * measured["seconds_per_step"])


def test_a_trunk_spread_over_processes_is_counted_by_its_share(capsys):
    words = ["--model.preset", "base", "--num-languages", "8", "--nproc", "4", *RATE]
    whole, spread = plan(capsys, *words), plan(capsys, *words, "--shard", "true")
    p = whole["parameters"]
    elsewhere = (p["total"] - p["packs"]) * 3 // 4
    for part, times in (("weights", 4), ("gradients", 4), ("optimizer", 8)):
        assert whole["memory"][part] - spread["memory"][part] == pytest.approx(times * elsewhere, rel=1e-6)
    assert whole["memory"]["gathered"] == 0
    assert spread["memory"]["gathered"] == 4 * (3 * (p["embeddings"] + p["head"]) + p["body"] // 3)
    assert spread["memory_bf16"]["gathered"] - spread["memory"]["gathered"] == 2 * p["body"]
    passes, packs = 8, 8 * p["pack"]  # 2^20 tokens, 2^15 at once, four processes
    once = passes * (2 * (p["total"] - p["packs"]) + p["body"]) + 2 * packs
    assert spread["communication"]["sent"] == 0.75 * 4 * once


def test_a_trunk_that_does_not_fit_is_to_be_spread(capsys):
    sizes = ("--model.hidden-size", "4096", "--model.ffn-size", "16384", "--model.num-layers", "32")
    words = ["--model.preset", "large", *sizes, "--num-languages", "2", "--nproc", "8", *RATE]
    (way,) = plan(capsys, *words, "--device-memory", "60")["device"]["changes"]
    assert set(way["options"]) == {"train.micro-tokens", "shard"}
    given = [word for name, value in way["options"].items() for word in (f"--{name}", value)]
    assert plan(capsys, *words, "--device-memory", "60", *given)["device"]["fits"]
    alone = plan(capsys, *words[:-4], *RATE, "--device-memory", "60")["device"]["changes"]
    assert not any("shard" in each["options"] for each in alone)


@pytest.mark.parametrize(("nproc", "times"), [(1, 1), (2, 2), (8, 3)])
def test_processes_beyond_the_cores_of_this_machine_save_no_time(monkeypatch, capsys, nproc, times):
    monkeypatch.setattr("polymod.bench.timing.training_flops", lambda: 1e9)
    monkeypatch.setattr("polymod.text.options.cores", lambda: 7)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    monkeypatch.setattr("polymod.bench.calibration.seconds_per_step", lambda *_, **__: 5.0)
    words = ["--model.preset", "tiny", "--num-languages", "2", "--nproc", str(nproc), "--calibrate", "1"]
    words += ["--train.steps", "6", "--train.device", "cpu"]
    document = plan(capsys, *words)
    found, flops = document["time"], document["flops"]["total"]
    assert found["device"]["seconds"] == pytest.approx(flops / 1e9 / times)
    assert found["measured"]["seconds"] == pytest.approx(30 / times)
    assert found["h200"]["seconds"] * nproc == pytest.approx(flops / found["h200"]["flops_per_second"])
    assert plan(capsys, *words, *RATE)["time"]["device"]["seconds"] == pytest.approx(flops / 1e12 / nproc)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.0, "less than a second"),
        (0.9, "less than a second"),
        (1.2, "1 second"),
        (1.6, "2 seconds"),
        (130, "2.2 minutes"),
    ],
)
def test_a_time_is_said_in_a_unit_that_fits(seconds, said):
    assert planning._duration(seconds) == said


def test_what_pretrain_refuses_of_sharding_is_no_plan(capsys):
    for words in ((), ("--nproc", "2", "--update", "pcgrad"), ("--nproc", "2", "--monitor.gradients", "5")):
        assert execute("plan", ["--num-languages", "2", "--shard", *words, *RATE]) == 2
        assert "--shard" in capsys.readouterr().err


REFUSED = {
    "meta without packs": (("--arm", "shared", "--update", "meta"), "the shared arm has no modules"),
    "meta-fast without packs": (("--arm", "dense", "--update", "meta-fast"), "the dense arm has no modules"),
    "idle packs where there are none": (("--arm", "shared", "--residency.mapped"), "languages have no packs"),
    "idle languages that are read": (("--update", "meta", "--residency.mapped"), "text of other languages"),
    "a number of idle languages where none is": (("--residency.languages", "7"), "give --residency.mapped"),
    "a folder for idle languages where none is": (("--residency.folder", "x"), "--residency.folder: all"),
}


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_pretrain_refuses_of_an_arm_is_no_plan(words, said, capsys):
    assert execute("plan", ["--num-languages", "2", *words, *RATE]) == 2
    assert said in capsys.readouterr().err


def test_the_default_number_of_idle_languages_may_be_said(capsys):
    assert plan(capsys, "--num-languages", "2", "--residency.languages", "32", *RATE)


@pytest.mark.parametrize("words", [("--languages", "en,de"), ("--data", "data")])
def test_a_number_of_languages_goes_with_no_names(words, capsys):
    assert execute("plan", ["--num-languages", "3", *words, *RATE]) == 2
    assert f"--num-languages: {words[0]} says which languages" in capsys.readouterr().err


def test_an_unknown_language_names_its_option(capsys):
    assert execute("plan", ["--languages", "en,zz", *RATE]) == 2
    assert "--languages: unknown language 'zz'" in capsys.readouterr().err


def test_processes_on_cpus_share_the_memory_of_the_machine(capsys):
    words = ("--model.preset", "tiny", "--num-languages", "4", "--train.device", "cpu", *RATE)
    alone, shared = (plan(capsys, *words, "--nproc", str(n))["device"]["memory"] for n in (1, 4))
    assert shared == alone // 4


def test_packs_are_to_be_shared_out_where_that_is_enough(capsys):
    words = ("--model.preset", "small", "--num-languages", "2000", "--nproc", "8", *RATE)
    (way,) = plan(capsys, *words, "--device-memory", "16")["device"]["changes"]
    assert way["options"] == {"shard-packs": "true"}
    assert plan(capsys, *words, "--device-memory", "16", "--shard-packs", "true")["device"]["fits"]
