"""How related the languages of the world are, as a heat map ordered by family."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from polymod.report.blocks import Block, Cell, Chart, Column, Details, Rows, Section, Table
from polymod.report.charts.heatmap import HeatMap, blank_diagonal, draw, ramp
from polymod.report.document import Document, Language
from polymod.report.figures import fixed, mean, several
from polymod.report.part import Matrix

_MOST_WITH_NUMBERS = 40  # languages; more would make a table that nobody reads
MOST_LANGUAGES = 120  # of the map; beyond that it shows families


def section(document: Document) -> Section | None:
    """Left out where the document has no matrix, or one of a single language."""
    part = document.part.part("world", "relatedness")
    tags = [str(tag) for tag in part.sequence("tags")]
    languages = [language for language in document.languages if language.tag in tags]
    if len(languages) < 2:
        return None
    rows = blank_diagonal(_ordered(part.matrix("rows", len(tags)), tags, languages))
    blocks: list[Block] = [
        Chart(draw(_map(languages, rows)), wide=True, label="heat map of relatedness"),
        Chart(ramp(_largest(rows)), "1 would be the same language; a language with itself is left out."),
    ]
    if len(languages) <= _MOST_WITH_NUMBERS:
        blocks.append(Details("The numbers", (_numbers(languages, rows),)))
    if facts := _facts(document):
        blocks.append(Details("The languages", (facts,)))
    means, advice = _means(languages, rows), _advice(languages, rows)
    return Section("relatedness", "Relatedness", means, advice, tuple(blocks))


def _ordered(rows: Matrix, tags: Sequence[str], languages: Sequence[Language]) -> Matrix:
    place = {tag: index for index, tag in enumerate(tags)}
    order = [place[language.tag] for language in languages]
    return [[rows[i][j] for j in order] for i in order]


def _pairs(languages: Sequence[Language], rows: Matrix) -> list[tuple[float, Language, Language]]:
    """Every pair with its value."""
    return [
        (value, languages[i], languages[j])
        for i, row in enumerate(rows)
        for j, value in enumerate(row)
        if i < j and value is not None
    ]


def _largest(rows: Matrix) -> float:
    return max((abs(value) for row in rows for value in row if value is not None), default=1.0)


def _map(languages: Sequence[Language], rows: Matrix) -> HeatMap:
    """Of the languages, or of the means of their families where there are too many."""
    families = dict.fromkeys(language.family for language in languages)
    if len(languages) > MOST_LANGUAGES:
        labels, title = (
            [family or "others" for family in families],
            "Mean relatedness of every pair of families",
        )
        groups, shown = [("", len(families))], _of_families(languages, rows)
    else:
        labels, title = [language.tag for language in languages], "Relatedness of every pair of languages"
        sizes = Counter(language.family for language in languages)
        groups = [(f"family {family}" if family else "", sizes[family]) for family in families]
        shown = rows
    return HeatMap("relatedness-map", title, _means(languages, rows), labels, groups, shown, _largest(rows))


def _of_families(languages: Sequence[Language], rows: Matrix) -> Matrix:
    """Means over the pairs of two families, or within one."""
    members: dict[str, list[int]] = {}
    for index, language in enumerate(languages):
        members.setdefault(language.family, []).append(index)
    return [
        [mean([v for i in own for j in other if (v := rows[i][j]) is not None]) for other in members.values()]
        for own in members.values()
    ]


def _means(languages: Sequence[Language], rows: Matrix) -> str:
    pairs = _pairs(languages, rows)
    within = mean([value for value, a, b in pairs if a.family and a.family == b.family])
    between = mean([value for value, a, b in pairs if not a.family or a.family != b.family])
    if within is None or between is None:
        average = mean([value for value, _, _ in pairs])
        return f"The relatedness of {several(len(pairs), 'pair')} is {fixed(average)} on average."
    return (
        f"Languages of one family agree to {fixed(within)} on average, languages of different families to "
        f"{fixed(between)}, where 1 is the same language."
    )


def _advice(languages: Sequence[Language], rows: Matrix) -> str:
    pairs = _pairs(languages, rows)
    if not pairs:
        return "Give the relatedness of each pair to see which languages may help each other."
    value, one, other = max(pairs, key=lambda pair: pair[0])
    return (
        "Expect much help between languages with a strong shade and little elsewhere; begin a new pack from "
        f"the nearest relative, as {one.label} and {other.label} are to each other ({fixed(value)})."
    )


def _numbers(languages: Sequence[Language], rows: Matrix) -> Table:
    body = tuple(
        (Cell(language.tag, kind="tag"), *(Cell.of(value, 2) for value in row))
        for language, row in zip(languages, rows, strict=True)
    )
    columns = (Column("Language"), *(Column(language.tag, "number") for language in languages))
    return Table("Relatedness of every pair", columns, (Rows("", body),))


def _facts(document: Document) -> Table | None:
    """What the world says of each language, in the columns that occur."""
    facts = document.part.part("world", "languages").parts()
    scalar = (str, int, float)
    keys = dict.fromkeys(
        key for part in facts.values() for key, value in part.tree.items() if isinstance(value, scalar)
    )
    if not keys:
        return None
    rows = tuple(
        (Cell(each.tag, kind="tag"), *(_fact(facts[each.tag].tree.get(key)) for key in keys))
        for each in document.languages
        if each.tag in facts
    )
    heads = (
        Column("Language"),
        *(_head(key, [row[place].kind for row in rows]) for place, key in enumerate(keys, 1)),
    )
    return Table("What is known of the languages", heads, (Rows("", rows),), sortable=True)


def _head(key: str, kinds: Sequence[str]) -> Column:
    return Column(str(key).replace("_", " "), "number" if "number" in kinds else "text")


def _fact(value: object) -> Cell:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Cell("" if value is None else str(value))
    return Cell(f"{value:,}", float(value), "number")
