"""How the arms differ: what they cost, and the options that are not the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from polymod.config import flatten
from polymod.report.blocks import Block, Cell, Column, Details, Facts, Rows, Section, Table
from polymod.report.document import Document
from polymod.report.figures import count, duration, fixed, listed
from polymod.report.part import Part

_SAME = 0.01  # relative difference below which costs count as equal


class Cost(NamedTuple):
    """A figure of an arm: its key, its name, how it is written."""

    key: str
    name: str
    written: Callable[[float | None], str]


COSTS = (
    Cost("parameters", "Parameters", count),
    Cost("flops_per_token", "FLOPs per token", count),
    Cost("tokens", "Training tokens", count),
    Cost("steps", "Steps", lambda value: fixed(value, 0)),
    Cost("seconds", "Training time", duration),
)


def section(document: Document) -> Section | None:
    """Left out where nothing is known of costs and options."""
    common = _flat(document.part.part("config"))
    options = {arm.name: _flat(arm.part.part("config")) for arm in document.arms}
    costs = [cost for cost in COSTS if any(arm.part.number(cost.key) is not None for arm in document.arms)]
    keys = list(dict.fromkeys(key for tree in options.values() for key in tree))
    different = [key for key in keys if len({tree.get(key) for tree in options.values()}) > 1]
    blocks: list[Block] = []
    if costs or different:
        rows = [_cost_row(document, cost) for cost in costs]
        rows += [
            (Cell(key), *(Cell(options[arm.name].get(key, ""), kind="number") for arm in document.arms))
            for key in different
        ]
        columns = (Column(""), *(Column(arm.name, "number", series=arm.number) for arm in document.arms))
        blocks.append(
            Table(
                f"What the {document.noun}s cost and where their options differ",
                columns,
                (Rows("", tuple(rows)),),
            )
        )
    first = next(iter(options.values()), {})
    common |= {key: first[key] for key in keys if key not in different}
    if common:
        blocks.append(Details("Options they share", (Facts(tuple(common.items()), code=True),)))
    if not blocks:
        return None
    title = f"How the {document.noun}s differ" if len(document.arms) > 1 else "Cost and options"
    return Section("differences", title, _means(document, costs, different), _advice(document), tuple(blocks))


def _cost_row(document: Document, cost: Cost) -> tuple[Cell, ...]:
    values = [arm.part.number(cost.key) for arm in document.arms]
    return (Cell(cost.name), *(Cell(cost.written(value), value, "number") for value in values))


def _means(document: Document, costs: list[Cost], different: list[str]) -> str:
    if len(document.arms) < 2:
        return "What the run cost and the options it was made with."
    same = [_small(cost.name) for cost in costs if _equal(document, cost.key)]
    other = [_small(cost.name) for cost in costs if not _equal(document, cost.key)]
    parts = [f"equal {listed(same, 6)}" * bool(same), f"different {listed(other, 6)}" * bool(other)]
    parts.append(f"different options: {listed(different)}" * bool(different))
    return f"The {document.noun}s have {'; '.join(part for part in parts if part) or 'the same options'}."


def _advice(document: Document) -> str:
    if len(document.arms) < 2:
        return "Compare runs only where tokens and compute are the same."
    unequal = [
        name
        for key, name in (("tokens", "training tokens"), ("flops_per_token", "compute per token"))
        if not _equal(document, key)
    ]
    if unequal:
        return (
            f"Compare with care: {' and '.join(unequal)} differ, and part of the effect may come from them."
        )
    return (
        "Compare the losses as they are: tokens and compute per token are the same; parameters need not be."
    )


def _equal(document: Document, key: str) -> bool:
    """Whether all arms have the same figure, to one per cent."""
    values = [arm.part.number(key) for arm in document.arms]
    known = [value for value in values if value is not None]
    return len(known) == len(values) and max(known) - min(known) <= _SAME * max(abs(value) for value in known)


def _small(name: str) -> str:
    """A name inside a sentence."""
    return name if name.isupper() or name[1].isupper() else f"{name[0].lower()}{name[1:]}"


def _flat(part: Part) -> dict[str, str]:
    """Dotted keys and values as they are written on the command line."""
    return {key: _option(value) for key, value in flatten(part.tree).items()}


def _option(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
