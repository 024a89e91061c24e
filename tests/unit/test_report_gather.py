"""Folders -> a results document: what each kind gives, names that tell apart, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from _diagnoses import controls, gaps, gradients, masks
from _results import grown, results
from polymod.errors import UserError
from polymod.files import MANIFEST, sha256, write_json
from polymod.report.document import read
from polymod.report.gather.folders import kinds, names
from polymod.report.gather.gather import gather
from polymod.report.page import sections
from polymod.report.transfers import transfers

TAGS = ("qaa", "qab")


def run(folder: Path, *, data: str = "d" * 64, steps: int = 40, **config: Any) -> Path:
    """A pre-training run without a checkpoint."""
    options = {"data": str(folder.parent / "data"), "out": str(folder), "train": {"steps": steps}, **config}
    identity = {"data": data, "tokenizer": "t" * 64, "languages": list(TAGS)}
    folder.mkdir(parents=True)
    write_json(
        folder / "run.json",
        {"schema": 1, "config": options, "identity": identity, "versions": {"torch": "2"}},
    )
    lines: list[dict[str, Any]] = []
    for step in range(10, steps + 1, 10):
        by_tag = dict.fromkeys(TAGS, 5 - step / 100)
        common = {
            "step": step,
            "tokens": 1000,
            "tokens_per_second": 500.0,
            "loss": by_tag["qaa"],
            "languages": by_tag,
        }
        lines.append({"kind": "train", **common})
        scores = {
            tag: {"loss": 4.0, "perplexity": 54.6, "tokens": 99, "unigram_entropy": 5.0} for tag in TAGS
        }
        means = {"mean_loss": 4.0, "mean_unigram_entropy": 5.0}
        lines.append({"kind": "valid", "step": step, "languages": scores, **means})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def prepared(folder: Path) -> str:
    """A data folder; returns its fingerprint."""
    folder.mkdir()
    languages = {tag: {"documents": {"train": 9}, "tokens": {"train": 500}} for tag in (*TAGS, "qac")}
    write_json(folder / "data.json", {"schema": 1, "vocabulary": {"size": 300}, "languages": languages})
    (folder / MANIFEST).write_text("{}")
    return sha256(folder / MANIFEST)


def diagnosis(folder: Path, what: str, *rows: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    write_json(folder / f"{what}.json", {"schema": 1, "what": what, "results": list(rows)})
    return folder


def finetuned(folder: Path, *files: str) -> Path:
    """A fine-tuned folder with the tables that ``transfer`` leaves."""
    folder.mkdir()
    task = grown(4, 2)["transfer"]["nli"]
    about = {key: task[key] for key in ("task", "metric", "source")}
    write_json(folder / "run.json", {"schema": 1})
    write_json(folder / "finetune.json", {"schema": 1, "labels": ["a", "b", "c"]})
    contents = {
        "transfer.json": task["modules"]["target"],
        "transfer-source.json": task["modules"]["source"],
        "transfer-none.json": task["modules"]["none"],
        "transfer-differences.json": {"differences": task["differences"]},
    }
    for name in files:
        write_json(folder / name, {"schema": 1, **about, **contents[name]})
    return folder


def test_a_run_gives_losses_curves_cost_and_options(tmp_path: Path) -> None:
    found = gather([run(tmp_path / "a")])
    arm = found["arms"]["a"]
    assert (arm["steps"], arm["tokens"], arm["seconds"]) == (40, 4000, 8.0)
    assert arm["valid"]["languages"]["qaa"]["loss"] == 4.0
    assert len(arm["train_curve"]) == len(arm["valid_curve"]) == 4
    assert arm["config"]["data fingerprint"] == "d" * 12
    assert "out" not in arm["config"]
    assert (found["kind"], found["title"], found["seconds"]) == ("report", "1 run", 8.0)


def test_only_options_that_differ_are_in_the_table(tmp_path: Path) -> None:
    paths = [run(tmp_path / name, arm=name) for name in ("modular", "shared")]
    section = next(each for each in sections(read(gather(paths))) if each.name == "differences")
    table, shared = section.blocks
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.groups[0].rows}
    assert rows.pop("arm") == ["modular", "shared"]
    assert {"Training tokens", "Steps", "Training time"} == set(rows)
    assert ("data fingerprint", "d" * 12) in shared.blocks[0].pairs
    assert section.means.startswith("The runs have")


def test_data_counts_come_from_the_runs_own_data_and_from_no_other(tmp_path: Path) -> None:
    fingerprint = prepared(tmp_path / "data")
    found = gather([run(tmp_path / "a", data=fingerprint)])
    assert found["data"] == {
        "vocabulary": 300,
        "languages": {tag: {"documents": {"train": 9}, "tokens": {"train": 500}} for tag in TAGS},
    }
    assert "data" not in gather([run(tmp_path / "b")])
    assert set(gather([tmp_path / "data"])["data"]["languages"]) == {*TAGS, "qac"}


def test_runs_on_different_data_are_not_to_be_compared(tmp_path: Path) -> None:
    alike = [run(tmp_path / "a"), run(tmp_path / "b")]
    assert "notes" not in gather(alike)
    (note,) = gather([*alike, run(tmp_path / "c", data="e" * 64)])["notes"]
    assert "different data" in note


def test_lines_of_a_monitor_are_averaged_over_stretches(tmp_path: Path) -> None:
    folder = run(tmp_path / "a")
    keys = ("mean_cosine", "mean_ceiling", "mean_corrected", "conflict_rate", "ceiling_conflict_rate")
    lines = []
    for step in range(200):
        means = dict.fromkeys(keys, step / 100) | {"mean_corrected": None if step % 2 else 1.0}
        lines.append(
            {"kind": "gradients", "step": step, "trunk": means, "groups": {"head": means}, "layers": []}
        )
    (folder / "gradients.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    noted = gather([folder])["monitor"]["a"]
    assert len(noted) == 100
    assert [noted[0]["step"], noted[-1]["step"]] == [1, 199]
    assert noted[1]["trunk"]["mean_cosine"] == pytest.approx(0.025)
    assert noted[1]["groups"]["head"]["mean_corrected"] == 1.0


def test_diagnoses_of_one_folder_or_several_are_put_together(tmp_path: Path) -> None:
    first = diagnosis(
        tmp_path / "one", "gradients", gradients(TAGS, run="runs/a"), gradients(TAGS, run="runs/b")
    )
    diagnosis(first, "masks", masks(TAGS, run="runs/a"))
    second = diagnosis(tmp_path / "two", "gradients", gradients(TAGS, run="other/a"))
    diagnosis(second, "controls", controls(TAGS, run="runs/b"))
    third = tmp_path / "three"
    third.mkdir()
    write_json(third / "gaps.json", gaps(TAGS))
    found = gather([first, second, third])
    assert [each["run"] for each in found["gradients"]] == ["runs/a", "b", "other/a"]
    assert [found["masks"][0]["run"], found["controls"][0]["run"]] == ["runs/a", "b"]
    assert found["gaps"] == [gaps(TAGS)]
    assert found["title"] == "1 comparison and 4 diagnoses"


def test_means_of_a_diagnosis_name_runs_as_the_page_does(tmp_path: Path) -> None:
    folder = diagnosis(tmp_path / "one", "gradients", *(gradients(TAGS, run=f"runs/{name}") for name in "ab"))
    document = json.loads((folder / "gradients.json").read_text())
    assert "averages" not in gather([folder])
    mean = {"runs": ["runs/a", "runs/b"], "steps": [20], "languages": [*TAGS]}
    write_json(folder / "gradients.json", document | {"averages": [mean]})
    assert gather([folder])["averages"] == [mean | {"runs": ["a", "b"]}]


def test_a_run_and_its_diagnosis_have_one_name(tmp_path: Path) -> None:
    folder = run(tmp_path / "runs" / "a")
    found = gather([folder, diagnosis(tmp_path / "d", "controls", controls(TAGS, run=str(folder)))])
    assert list(found["arms"]) == [found["controls"][0]["run"]] == ["a"]


def test_the_same_folder_twice_counts_once(tmp_path: Path) -> None:
    folder = run(tmp_path / "a")
    assert list(
        gather([folder, tmp_path / "x" / ".." / "a"] if (tmp_path / "x").mkdir() else [folder, folder])[
            "arms"
        ]
    ) == ["a"]


def test_a_fine_tuned_folder_gives_its_tables_controls_and_differences(tmp_path: Path) -> None:
    files = ("transfer.json", "transfer-source.json", "transfer-none.json", "transfer-differences.json")
    found = gather([finetuned(tmp_path / "nli", *files)])
    (transfer,) = transfers(read(found))
    assert set(transfer.scores) == {"target", "source", "none"}
    assert transfer.gain["source"].value == pytest.approx(9.0)
    assert transfer.guessing == pytest.approx(100 / 3)
    assert transfer.name == "NLI"


def test_controls_of_other_languages_are_refused(tmp_path: Path) -> None:
    folder = finetuned(tmp_path / "nli", "transfer.json", "transfer-none.json")
    table = json.loads((folder / "transfer-none.json").read_text())
    del table["languages"]["qab"]
    write_json(folder / "transfer-none.json", table)
    with pytest.raises(UserError, match=r"transfer-none\.json is of other languages") as error:
        gather([folder])
    assert "--module all" in error.value.fix


def test_two_folders_of_a_task_are_told_apart(tmp_path: Path) -> None:
    paths = [finetuned(tmp_path / name, "transfer.json") for name in ("one", "two")]
    assert [each.name for each in transfers(read(gather(paths)))] == ["NLI (one)", "NLI (two)"]


def test_an_extended_run_a_world_and_a_demo(tmp_path: Path) -> None:
    document = grown(4, 2, points=6)
    for name in ("extended", "world", "demo"):
        (tmp_path / name).mkdir()
    write_json(tmp_path / "extended" / "run.json", {"schema": 1})
    write_json(tmp_path / "extended" / "extend.json", {"schema": 1, "run": "r", **document["added"]})
    write_json(tmp_path / "world" / "world.json", {"schema": 1, **document["world"]})
    write_json(tmp_path / "demo" / "results.json", results(3, 1, points=4))
    alone = gather([tmp_path / "extended"])
    assert [each.name for each in sections(read(alone))] == ["addition", "reading"]
    assert alone["title"] == "1 extended run"
    whole = gather([tmp_path / "extended", tmp_path / "world", tmp_path / "demo"])
    assert set(whole["arms"]) == {"modular", "shared"}
    assert {each.family for each in read(whole).languages} == {"a", "b"}


def test_runs_named_as_a_demos_arms_keep_both(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    write_json(tmp_path / "demo" / "results.json", results(2, 1, points=4))
    found = gather([run(tmp_path / "modular"), tmp_path / "demo"])
    assert list(found["arms"]) == ["modular", "demo/modular", "shared"]


def study(folder: Path, *names: str, **failed: str) -> Path:
    """A study with these finished runs."""
    for name in names:
        run(folder / "runs" / name)
    entries = {name: {"setting": name, "seed": 0} for name in names}
    write_json(folder / "study.json", {"schema": 1, "kind": "study", "runs": entries, "failed": failed})
    write_json(folder / "plan.json", {"schema": 1, "data": "data", "runs": {}})
    return folder


def test_a_study_is_its_finished_runs(tmp_path: Path) -> None:
    folder = study(tmp_path / "s", "modular", "shared", mono="out of memory")
    run(folder / "runs" / "mono", steps=10)
    found = gather([folder, folder / "runs" / "shared"])
    assert (list(found["arms"]), found["title"]) == (["modular", "shared"], "2 runs")
    assert found["notes"] == ["Runs of s that failed are not here: mono."]
    write_json(folder / "gaps.json", gaps(TAGS))
    assert gather([folder])["title"] == "2 runs and 1 comparison"


def test_a_study_of_many_runs_is_refused_with_what_to_give(tmp_path: Path) -> None:
    folder = study(tmp_path / "s", *(f"r{number}" for number in range(13)))
    with pytest.raises(UserError, match="a study of 13 runs") as error:
        gather([folder])
    assert error.value.fix == f"give some of {folder}/runs/*"
    with pytest.raises(UserError, match="no run of the study is finished"):
        gather([study(tmp_path / "none")])


def test_a_study_that_is_not_finished_is_refused_with_what_goes_on(tmp_path: Path) -> None:
    folder = study(tmp_path / "s", "modular")
    (folder / "study.json").unlink()
    with pytest.raises(UserError, match="the study is not finished") as error:
        gather([folder])
    assert "polymod study command again" in error.value.fix
    assert f"give {folder}/runs/*" in error.value.fix


@pytest.mark.parametrize("what", ["gradients", "masks", "controls", "gaps"])
def test_a_diagnosis_that_is_not_finished_is_refused_with_what_goes_on(tmp_path: Path, what: str) -> None:
    (tmp_path / "d" / what).mkdir(parents=True)
    write_json(tmp_path / "d" / what / "request.json", {"config": {}})
    with pytest.raises(UserError, match=f"diagnose {what} is not finished here") as error:
        gather([tmp_path / "d"])
    assert f"polymod diagnose {what} ... --out {tmp_path / 'd'}" in error.value.fix
    write_json(tmp_path / "d" / "controls.json", {"schema": 1, "results": [controls(TAGS, run="a")]})
    assert gather([tmp_path / "d"])["title"] == "1 diagnosis"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path, "no such folder"),
        (lambda path: path.write_text("x") and path, "no folder, but a file"),
        (lambda path: path.mkdir() or path, "nothing that a report can show"),
        (lambda path: finetuned(path), "no transfer.json"),
        (lambda path: finetuned(path, "transfer-none.json"), "no transfer.json"),
        (
            lambda path: (
                (diagnosis(path, "gradients") and write_json(path / "gradients.json", {"schema": 2})) or path
            ),
            "schema 1",
        ),
    ],
)
def test_what_cannot_be_shown_is_refused_with_what_can(tmp_path: Path, make: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        gather([make(tmp_path / "a")])
    assert error.value.fix
    assert str(tmp_path / "a") in error.value.where


@pytest.mark.parametrize("rows", [3, [3], [{"run": 1}]])
def test_a_diagnosis_of_another_shape_is_refused(tmp_path: Path, rows: Any) -> None:
    write_json(diagnosis(tmp_path / "a", "masks") / "masks.json", {"schema": 1, "results": rows})
    with pytest.raises(UserError, match=r"^results"):
        gather([tmp_path / "a"])


def test_results_of_something_else_are_no_demo(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", {"schema": 1, "kind": "bench"})
    with pytest.raises(UserError, match="no results of a demo"):
        gather([tmp_path])


def test_a_run_without_metrics_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "a")
    (folder / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match="the run has no metrics"):
        gather([folder])


def test_a_language_added_twice_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "extend.json", {"schema": 1, **grown(3, 1)["added"]})
    with pytest.raises(UserError, match="'qad' was added in another"):
        gather([tmp_path / "a", tmp_path / "b"])


def test_kinds_and_names(tmp_path: Path) -> None:
    folder = finetuned(tmp_path / "ft")
    diagnosis(folder, "masks")
    assert kinds(folder) == ["masks", "task"]
    paths = [Path("a/b/run"), Path("a/c/run"), Path("a/c/other")]
    assert list(names(paths).values()) == ["b/run", "c/run", "other"]
