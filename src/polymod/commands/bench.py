"""``polymod bench``: this engine beside ``transformers``' X-MOD, on the same weights and batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.errors import UserError
from polymod.progress import bars, stderr


class Config(CommandConfig):
    """Ratios of runs that took turns: absolute times of a shared machine mean little. The ratios beside
    transformers are of real tokens per second, ours over theirs; the other ratios are of step times.
    """

    suite: Literal["cpu", "gpu", "embed", "treatments", "scale", "data"] = Field(
        "cpu", description="which measurements"
    )
    cases: Names = Field((), description="names of cases; all of the suite if left out")
    rounds: int = Field(7, ge=5, description="rounds in which the contenders take turns")
    sentences: Path | None = Field(
        None, description="folder with files xx.txt for suite embed; a world's sentences if left out"
    )
    out: Path | None = Field(None, description="folder for the document and a picture of it")
    languages: Names = Field((), description="of those files; eight spread over the folder if left out")


def main(config: Config) -> dict[str, Any]:
    """Run the cases of a suite."""
    from polymod.bench import cpu, data, embed, gpu, scale, treatments

    suites: dict[str, Callable[[], Mapping[str, Callable[[int], dict[str, Any]]]]] = {
        "cpu": lambda: cpu.CASES,
        "gpu": gpu.cases,
        "embed": lambda: embed.cases(config.sentences, config.languages),
        "treatments": lambda: treatments.CASES,
        "scale": lambda: scale.CASES,
        "data": lambda: data.CASES,
    }
    cases = suites[config.suite]()
    unknown = [name for name in config.cases if name not in cases]
    if unknown:
        raise UserError(f"no case is named {unknown[0]!r}", fix=f"cases: {', '.join(cases)}")
    names = config.cases or tuple(cases)
    results = {}
    with bars("cases", stderr()) as group:
        group.add("bench", total=len(names))
        for done, name in enumerate(names):
            group.at("bench", done, note=name)
            results[name] = cases[name](config.rounds)
        group.at("bench", len(names))
        group.remove("bench")
    document = {"suite": config.suite, "machine": cpu.machine(), "cases": results}
    if config.out is not None:
        _write(config.out, document)
    return document


def _write(folder: Path, document: dict[str, Any]) -> None:
    """``<suite>.json`` and ``<suite>.svg``."""
    from polymod.bench.plot import picture
    from polymod.files import atomic, write_json

    name = document["suite"]
    write_json(folder / f"{name}.json", {"schema": 1, **document})
    with atomic(folder / f"{name}.svg") as file:
        file.write(picture(f"polymod bench --suite {name}", document["cases"]).encode())


def show(document: dict[str, Any]) -> None:
    """One line per case."""
    print(f"{'case':<24} {'median':>8} {'min':>8} {'max':>8} {'rounds':>6}  {'':<40}")
    for name, case in document["cases"].items():
        spread = case.get("ratio") or {key: case["spread"][key] / 1e6 for key in ("median", "min", "max")}
        rounds = (case.get("ratio") or case["spread"])["rounds"]
        unit = case.get("unit", "times" if "ratio" in case else "million tokens/s")
        numbers = f"{spread['median']:8.3f} {spread['min']:8.3f} {spread['max']:8.3f} {rounds:>6}  {unit}"
        proof = ""
        if "loss_difference" in case:
            loss, gradient = case["loss_difference"], case["gradient_difference"]
            proof = f"  loss differs by {loss:.0e}, gradients by {gradient:.0e}"
        if "vector_difference" in case:
            over, whole = (case[f"ratio_over_{name}"]["median"] for name in ("sorted", "whole"))
            proof = f"  {over:.2f} over sorted, {whole:.2f} over a batch for each language"
            proof += f"; vectors differ by {case['vector_difference']:.0e}"
        if "trunks" in case:
            held = f"{case['trunks']} trunks more in memory ({case['bytes'] / 1e6:,.0f} MB)"
            proof = f"  {case['languages']} languages, {held}"
        print(f"{name:<24} {numbers}{proof}")
