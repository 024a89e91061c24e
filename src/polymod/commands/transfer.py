"""``polymod transfer``: fine-tuned models on every language that has data and a module, and the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.progress import bars, stderr

if TYPE_CHECKING:
    from polymod.tasks.finetuned import Finetuned
    from polymod.tasks.task import Example, Task
    from polymod.tasks.transfer import Measured


class Config(CommandConfig):
    """Swaps in the module of each language and scores the task. Several folders are seeds of one fine-tuning:
    the table has their mean and spread. Each folder gets a transfer.json of its own, by split if not test.
    """

    arguments = ("folders",)
    folders: Names = Field(min_length=1, description="folders that finetune wrote, one or several seeds")
    data: Path = Field(description="folder with files <split>.<language>.<ending> of the task")
    languages: Names = Field((), description="languages to read; all with data and a module if left out")
    module: str = Field(
        "target",
        description="target, source, none, a language's module, or all: the first three side by side",
    )
    against: Names = Field((), description="folders of another fine-tuning, to compare with")
    split: Literal["test", "dev", "train"] = Field("test", description="split to read")
    max_examples: int = Field(0, ge=0, description="examples of each language; 0: all")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to compute, always in fp32")
    resamples: int = Field(1000, ge=100, description="of the bootstrap")


def main(config: Config) -> dict[str, Any]:
    """Read, score, compare; write every folder's own tables."""
    from polymod.languages import canonical_all
    from polymod.tasks.examples import some
    from polymod.tasks.find import find, find_all
    from polymod.tasks.finetuned import Finetuned, insist_alike
    from polymod.tasks.tables import comparison, difference_table
    from polymod.tasks.task import TASKS
    from polymod.tasks.transfer import choose, controls_of

    runs = [Finetuned.open(Path(folder)) for folder in config.folders]
    others = [Finetuned.open(Path(folder)) for folder in config.against]
    insist_alike(runs)
    insist_alike(others)
    insist_alike([runs[0], *others[:1]], same_sources=False)
    task, controls = TASKS[runs[0].spec.task], controls_of(config.module, [*runs, *others])
    asked_for = canonical_all(config.languages, where="--languages")
    files = {tag: find(config.data, task, config.split, tag) for tag in asked_for} or find_all(
        config.data, task, config.split
    )
    tags, left_out = choose(files, controls, [*runs, *others], asked_for=bool(asked_for))
    examples = {tag: some(task.read(files[tag]), config.max_examples) for tag in tags}
    ours = _measured(config, runs, task, examples, controls)
    read = {"left_out": left_out, "files": {tag: task.report(each) for tag, each in examples.items()}}
    _write(config, runs, ours, read)
    document = {**_about(runs, config), **comparison(ours, runs[0].sources, config.resamples), **read}
    if others:
        theirs = _measured(config, others, task, examples, controls)
        _write(config, others, theirs, read)
        sources, first = {*runs[0].sources, *others[0].sources}, controls[0]
        document["against"] = {
            **_about(others, config),
            **comparison(theirs, others[0].sources, config.resamples),
        }
        document["difference"] = difference_table(ours[first], theirs[first], sources, config.resamples)
    return document


def _measured(
    config: Config,
    runs: Sequence[Finetuned],
    task: Task,
    examples: Mapping[str, Sequence[Example]],
    controls: Sequence[str],
) -> dict[str, Measured]:
    from polymod.tasks.transfer import measure
    from polymod.train.run import device_and_dtype

    device, _ = device_and_dtype(config.device, "fp32", where="--device")
    done = dict.fromkeys(examples, 0)
    with bars("examples", stderr()) as group:

        def told(tag: str, count: int) -> None:
            done[tag] += count
            group.at(tag, done[tag])

        for tag, each in examples.items():
            group.add(tag, total=len(each) * len(runs) * len(controls))
        return measure(runs, task, examples, controls, config.split, device, told)


def _write(
    config: Config, runs: Sequence[Finetuned], measured: Mapping[str, Measured], read: Mapping[str, Any]
) -> None:
    """The tables of each run, into its own folder."""
    from polymod.files import write_json
    from polymod.tasks.tables import DIFFERENCES, differences, of_split, score_table

    for number, run in enumerate(runs):
        for control, each in measured.items():
            table = score_table(each.of_run(number), run.sources, config.resamples)
            name = "transfer.json" if control == "target" else f"transfer-{control}.json"
            path = of_split(run.folder / name, config.split)
            _tell_replaced(path, table)
            write_json(path, {"schema": 1, **_about([run], config), **table, **read})
        if len(measured) > 1:
            own = {control: each.of_run(number) for control, each in measured.items()}
            apart = {"differences": differences(own, run.sources, config.resamples)}
            path = of_split(run.folder / DIFFERENCES, config.split)
            write_json(path, {"schema": 1, **_about([run], config), **apart})


def _tell_replaced(path: Path, table: Mapping[str, Any]) -> None:
    """Say it where a table goes that has more languages than the new one."""
    from polymod.files import read_json

    before = read_json(path).get("languages", {}) if path.is_file() else {}
    if gone := before.keys() - table["languages"].keys():
        named = ", ".join(sorted(gone)[:8])
        said = f"{path}: replaced; the table before had {len(gone)} languages more: {named}"
        stderr().print(said, markup=False)


def _about(runs: Sequence[Finetuned], config: Config) -> dict[str, Any]:
    first = runs[0].result
    return {
        "folders": [str(run.folder) for run in runs],
        "task": first["task"],
        "metric": first["metric"],
        "source": ",".join(first["sources"]),
        "split": config.split,
        "protocol": first["protocol"],
    }


def show(document: dict[str, Any]) -> None:
    """A table of languages, what they say together, and how far apart the controls or the groups are."""
    from polymod.tasks.find import left_out_lines

    sources, metric = document["source"].split(","), document["metric"]
    print(f"{document['task']} {metric} on {document['split']}, learnt in {', '.join(sources)}")
    _show_side_by_side(document) if "modules" in document else _show_scores(document)
    for line in left_out_lines(document["left_out"]):
        print(line)
    for tag, report in document["files"].items():
        if report.get("mismatched"):
            what = f"{report['mismatched']:,} of {report['answers']:,} answers are not where the file says"
            kept = "the others count as they are, and no answer that is cut out of the text can equal them"
            print(f"{tag}: {what}; {report['repaired']:,} found elsewhere in the text, {kept}")
    if "difference" in document:
        print(f"against {', '.join(document['against']['folders'])}:")
        _show_differences(document["difference"], "difference")


def _show_scores(document: Mapping[str, Any]) -> None:
    several = len(document["folders"]) > 1
    print(f"{'language':<28} {'score':>6} {'95 %':>13}{'  ± sd' if several else ''} {'examples':>9}  module")
    for tag, entry in document["languages"].items():
        spread = f" {entry['sd']:5.3f}" if several else ""
        print(f"{_label(tag):<28} {_scored(entry)}{spread} {entry['examples']:>9,}  {entry['module']}")
    if document["macro"] is not None:
        together = document["macro_interval"]
        spread = f" {together['sd']:5.3f}" if several else ""
        print(f"{'mean of the targets':<28} {_scored(together)}{spread}")
        print(f"worst: {document['worst_language']} {document['worst']:.3f}")
    if document["source_gap"] is not None:
        print(f"source: {document['source_score']:.3f}, the mean is {document['source_gap']:.3f} below it")


def _show_side_by_side(document: Mapping[str, Any]) -> None:
    """Scores of each control, and how far the first one is above the others."""
    tables, differences = document["modules"], document["differences"]
    heads = [*(f"{control:>7}" for control in tables), *(f"{name:>22}" for name in differences)]
    print(f"{'language':<28} {' '.join(heads)}")
    for tag in document["languages"]:
        scores = [f"{table['languages'][tag]['score']:7.3f}" for table in tables.values()]
        apart = [_apart(each["languages"][tag]) for each in differences.values()]
        print(f"{_label(tag):<28} {' '.join([*scores, *apart])}")
    if document["macro"] is not None:
        scores = [f"{table['macro']:7.3f}" for table in tables.values()]
        apart = [_apart(each["macro"]) for each in differences.values()]
        print(f"{'mean of the targets':<28} {' '.join([*scores, *apart])}")
    print("target: the language's own module; source: the module of the source; [95 % of paired resamples]")


def _show_differences(table: Mapping[str, Any], name: str) -> None:
    rows = {**{_label(tag): each for tag, each in table["languages"].items()}}
    if table["macro"] is not None:
        rows["mean of the targets"] = table["macro"]
    print(f"{'language':<28} {name:>22} {'p':>6}")
    for label, each in rows.items():
        print(
            f"{label:<28} {_apart(each)} {each['p']:6.3f}" if "p" in each else f"{label:<28} {_apart(each)}"
        )


def _label(tag: str) -> str:
    from polymod.languages import name

    return f"{tag} {name(tag) or ''}"[:28]


def _scored(entry: Mapping[str, Any]) -> str:
    return f"{entry['score']:6.3f} {entry['low']:6.3f}-{entry['high']:.3f} "


def _apart(entry: Mapping[str, Any]) -> str:
    return f"{entry['difference']:+.3f} [{entry['low']:+.3f} {entry['high']:+.3f}]"
