"""``diagnose`` as users run it: three diagnoses, stopped and resumed, refused, one document each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from _asserts import assert_nothing_half_written
from polymod.cli import execute
from polymod.diagnose.monitor import read_gradients

from .conftest import TAGS, pretrain

GRADIENTS = ("--gradients.batches", "3", "--gradients.batch-tokens", "256")
MASKS = (
    *(
        "--masks.steps",
        "3",
        "--masks.batch-tokens",
        "64",
        "--masks.max-tokens",
        "256",
        "--masks.sparsity",
        "0.25,0.5",
    ),
    *("--masks.units", "heads,neurons,layers,norms"),
)


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory) -> dict[str, Path]:
    """A modular run that was watched, a shared and a dense one."""
    folder = tmp_path_factory.mktemp("runs")
    more = {
        "modular": ("--monitor.gradients", "8"),
        "shared": ("--train.steps", "8"),
        "dense": ("--train.steps", "8"),
    }
    for arm, options in more.items():
        assert pretrain(data, folder / arm, "--arm", arm, *options) == 0
    return {arm: folder / arm for arm in more}


def diagnose(capsys, what: str, *words: str | Path) -> dict:
    capsys.readouterr()
    assert execute("diagnose", [what, *map(str, words), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.isascii()
    return json.loads(printed)


def related(folder: Path) -> Path:
    """How related the languages are, in families."""
    rows = [[1.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 1.0]]
    families = {tag: {"family": family} for tag, family in zip(TAGS, "aab", strict=True)}
    world = {"languages": families, "relatedness": {"tags": TAGS, "rows": rows}}
    (folder / "world.json").write_text(json.dumps(world))
    return folder / "world.json"


def test_gradients_of_two_runs(data, runs, tmp_path, capsys):
    words = (runs["modular"], runs["shared"], "--data", data, "--out", tmp_path, *GRADIENTS)
    document = diagnose(capsys, "gradients", *words)
    assert json.loads((tmp_path / "gradients.json").read_text()) == document
    assert [result["arm"] for result in document["results"]] == ["modular", "shared"]
    assert [result["step"] for result in document["results"]] == [24, 8]
    modular, shared = document["results"]
    assert modular["languages"] == list(TAGS)
    assert "modules" in shared["groups"]
    assert "modules" not in modular["groups"]
    cosine = modular["trunk"]["cosine"]
    assert all(cosine[i][j] == cosine[j][i] for i in range(3) for j in range(3))
    assert modular["trunk"]["corrected"][0][0] in (1, None)
    assert all(error > 0 for error in modular["trunk"]["cosine_se"][0])
    assert len(modular["layers"]) == 2
    assert_nothing_half_written(tmp_path)
    again = diagnose(capsys, "gradients", *words)
    assert again == document


def test_runs_that_differ_in_their_seed_have_a_mean_whatever_else_changes_no_result(
    data, runs, tmp_path, capsys
):
    other, longer = tmp_path / "other", tmp_path / "longer"
    shared = ("--arm", "shared", "--train.steps", "8")
    assert pretrain(data, other, *shared, "--train.seed", "7", "--train.log-every", "3") == 0
    assert pretrain(data, longer, *shared, "--train.seed", "7", "--train.learning-rate", "1e-3") == 0
    words = (runs["shared"], other, longer, "--data", data, "--out", tmp_path / "out", *GRADIENTS)
    (average,) = diagnose(capsys, "gradients", *words)["averages"]
    assert average["runs"] == [str(runs["shared"]), str(other)]


def test_gradients_of_every_checkpoint_and_along_relatedness(data, runs, tmp_path, capsys):
    words = ("--gradients.checkpoints", "all", "--gradients.relatedness", related(tmp_path), *GRADIENTS)
    sketched = ("--gradients.sketch", "256", "--gradients.split", "train")
    document = diagnose(
        capsys, "gradients", runs["modular"], "--data", data, "--out", tmp_path / "out", *words, *sketched
    )
    assert [result["step"] for result in document["results"]] == [16, 24]
    assert document["results"][0]["sketch"] == 256
    for result in document["results"]:
        relation, cosine = result["along_relatedness"], result["trunk"]["cosine"]
        assert -1 <= relation["cosine"] <= 1
        assert set(relation["groups"]) == set(result["groups"])
        assert relation["within_families"]["cosine"] == cosine[0][1]
        assert relation["between_families"]["cosine"] == pytest.approx(
            (cosine[0][2] + cosine[1][2]) / 2, abs=1e-5
        )
    (average,) = document["averages"]
    assert average["steps"] == [16, 24]
    first, second = (result["trunk"]["cosine"][0][1] for result in document["results"])
    assert average["trunk"]["cosine"][0][1] == pytest.approx((first + second) / 2, abs=1e-5)
    assert average["along_relatedness"]["within_families"]["cosine"] == average["trunk"]["cosine"][0][1]
    out = ("--data", data, "--out", tmp_path / "out", *words, *sketched)
    assert execute("diagnose", ["gradients", *map(str, (runs["modular"], *out))]) == 0
    printed = capsys.readouterr().out
    assert printed.count("rank correlation of the cosine with relatedness") == 3
    assert "at steps 16, 24: mean cosine of gradients" in printed
    assert "the same of the cosine by group: embeddings" in printed


def test_a_watched_run_has_lines_and_the_same_weights(data, runs, tmp_path):
    assert [line["step"] for line in read_gradients(runs["modular"])] == [0, 8, 16]
    assert pretrain(data, tmp_path / "plain") == 0
    name = "checkpoints/step-00000024/trunk.safetensors"
    assert (tmp_path / "plain" / name).read_bytes() == (runs["modular"] / name).read_bytes()
    assert not (tmp_path / "plain" / "gradients.jsonl").exists()


def test_masks_stopped_and_resumed(data, runs, tmp_path, capsys, monkeypatch):
    from polymod.diagnose import ablation

    masks = (*MASKS, "--masks.relatedness", str(related(tmp_path)))
    words = (str(runs["shared"]), "--data", str(data), "--out", str(tmp_path / "a"), *masks)
    straight = diagnose(capsys, "masks", *words)
    calls, learn = [], ablation.learn

    def interrupted(*given):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return learn(*given)

    monkeypatch.setattr(ablation, "learn", interrupted)
    again = (str(runs["shared"]), "--data", str(data), "--out", str(tmp_path / "b"), *masks)
    assert execute("diagnose", ["masks", *again]) == 75
    assert len(list((tmp_path / "b" / "masks" / "000").glob("*-mask-*.json"))) == 2
    resumed = diagnose(capsys, "masks", *again)
    assert len(calls) == 3 + 4  # of six masks two were there
    assert resumed == straight
    (run,) = resumed["results"]
    assert set(run["units"]) == {"heads", "neurons", "layers", "norms"}
    assert run["units"]["layers"]["gates"] == 6
    for tag in TAGS:
        scores = run["languages"][tag]["sparsity"]["0.5"]
        assert set(scores["by_mask"]) == set(TAGS) - {tag}
        assert scores["own"] > 0 < scores["own_again"]
    assert set(run["overlap"]) == {"0.25", "0.5"}
    jaccard = run["overlap"]["0.5"]["all"]["jaccard"]
    assert 0 <= jaccard[0][0] <= 1
    assert run["overlap"]["0.5"]["along_relatedness"]["within_families"]["jaccard"] == jaccard[0][1]
    assert execute("diagnose", ["masks", *again]) == 0
    printed = capsys.readouterr().out
    assert "own again" in printed
    assert printed.count("rank correlation of the jaccard with relatedness") == 2


def test_controls(data, runs, tmp_path, capsys):
    words = (runs["modular"], "--data", data, "--out", tmp_path, "--controls.source", "to")
    document = diagnose(capsys, "controls", *words)
    (run,) = document["results"]
    assert run["source"] == "to"
    assert run["packs"] == [*TAGS, "none"]
    for number, tag in enumerate(TAGS):
        entry = run["languages"][tag]
        assert entry["through"][number] == entry["target"]
        assert entry["through"][-1] == entry["none"]["loss"]
        assert entry["shuffled"]["pack"] != tag
    assert run["languages"]["to"]["source"] is None
    capsys.readouterr()
    assert (
        execute("score", [str(runs["modular"]), "--data", str(data), "--max-tokens", "16384", "--json"]) == 0
    )
    scored = json.loads(capsys.readouterr().out)["languages"]
    assert run["languages"]["qaa"]["target"] == pytest.approx(scored["qaa"]["loss"], rel=0.05)


def test_controls_of_other_arms(data, runs, tmp_path, capsys):
    document = diagnose(capsys, "controls", runs["shared"], "--data", data, "--out", tmp_path / "a")
    (run,) = document["results"]
    assert run["source"] is None
    assert "packs" not in run
    assert all(entry["shuffled"] is None and entry["none"]["loss"] for entry in run["languages"].values())
    assert (
        execute(
            "diagnose", ["controls", str(runs["dense"]), "--data", str(data), "--out", str(tmp_path / "b")]
        )
        == 2
    )
    assert "no modules" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gap", "RUN"], "gradients"),
        (["gaps", "RUN"], "no setting is monolingual"),
        (["gradients"], "RUNS is missing"),
        (["gradients", "RUN", "--languages", "de"], "--languages: language 'de'"),
        (["gradients", "RUN", "--languages", "zz"], "--languages: unknown language 'zz'"),
        (["gaps", "RUN", "--languages", "zz"], "--languages: unknown language 'zz'"),
        (["controls", "RUN", "--device", "cuda"], "--device: no CUDA device"),
        (["gradients", "RUN", "--gradients.batches", "1000"], "blocks"),
        (["gradients", "RUN", "--gradients.batches", "2"], "batches"),
        (["gradients", "RUN", "--block-tokens", "4096"], "at most"),
        (["masks", "RUN", "--masks.sparsity", "0.5,0.25"], "larger than"),
        (["masks", "RUN", "--masks.units", "tails"], "tails"),
        (["controls", "RUN", "--controls.source", "de"], "de"),
        (["controls", "nowhere"], "no run"),
    ],
)
def test_what_is_wrong_is_told(data, runs, tmp_path, capsys, words, said):
    given = [str(runs["modular"]) if word == "RUN" else word for word in words]
    assert execute("diagnose", [*given, "--data", str(data), "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert said in message
    assert "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_another_request_is_refused_with_the_difference(data, runs, tmp_path, capsys):
    words = [str(runs["modular"]), "--data", str(data), "--out", str(tmp_path)]
    assert execute("diagnose", ["controls", *words]) == 0
    assert execute("diagnose", ["controls", *words, "--controls.seed", "1"]) == 2
    assert "controls.seed: 0 -> 1" in capsys.readouterr().err
    assert execute("diagnose", ["controls", *words, "--masks.seed", "1"]) == 0  # no matter here
    from polymod.files import locked

    with locked(tmp_path):
        assert execute("diagnose", ["controls", *words]) == 73
