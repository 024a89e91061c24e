"""Looking at a page: its elements and texts as a parser sees them, and 150 strings that want to break out."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from _diagnoses import everything

_PAYLOADS = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</svg><script>alert(1)</script>",
    "</table></details><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<img src='https://example.org/a.png'>",
    "<svg onload=alert(1)>",
    "<svg><script href='https://example.org/a.js'/></svg>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>a</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>a</a>",
    "<base href='https://example.org/'>",
    "<link rel=stylesheet href='https://example.org/a.css'>",
    "<style>*{display:none}</style>",
    "<meta http-equiv=refresh content='0;url=https://example.org'>",
    "<form action=https://example.org><button>go</button></form>",
    "<object data=a.swf></object>",
    "<embed src=a.swf>",
    "<video><source onerror=alert(1)></video>",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=alert(1)></style></mglyph></math>",
    "<template><script>alert(1)</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<!-- --><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?xml version='1.0'?><script>alert(1)</script>",
    "<foreignObject><body onload=alert(1)>",
    "<animate attributeName=href values=javascript:alert(1)>",
    "<use href='data:image/svg+xml,<svg id=a onload=alert(1)/>#a'/>",
    "onmouseover=alert(1) autofocus onfocus=alert(1)",
    "style=position:fixed;inset:0",
    "{{ 7 * 7 }}",
    "{% for x in ().__class__.__mro__ %}{{ x }}{% endfor %}",
    "{{ document.__init__.__globals__ }}",
    "{# comment #}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "\\u003cscript\\u003ealert(1)",
    "javascript:alert(1)",
    "';alert(1);//",
    "`${alert(1)}`",
    "]]>",
    "<",
    ">",
    "&",
    "\u2028alert(1)\u2029",
)
_WRAPPED = ("{}", "x\"'>{}", "\u202e\x1b[31m\x00\u200b{}\ufeff\x85")
HOSTILE = tuple(wrapper.replace("{}", payload) for wrapper in _WRAPPED for payload in _PAYLOADS)

Element = tuple[str, dict[str, str | None]]


class Page(HTMLParser):
    """A parsed page.

    Attributes:
        elements: every start tag with its attributes, in order.
        texts: every run of text outside of script and style.
        sources: contents of script and style elements, by name.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.texts: list[str] = []
        self.sources: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in self.sources:
            self.sources[self._open].append(data)
        elif data.strip():
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.elements.append(("#comment", {}))

    def unknown_decl(self, data: str) -> None:
        self.elements.append(("#declaration", {}))

    def handle_pi(self, data: str) -> None:
        self.elements.append(("#instruction", {}))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        """All text, blanks between elements as one."""
        return " ".join(" ".join(self.texts).split())


def stuffed(string: str) -> dict[str, Any]:
    """A results document with ``string`` in every free text: titles, names, keys, values, notes."""
    document = everything(3, 2, points=4)
    tags = {tag: f"{string}{index}" for index, tag in enumerate(document["world"]["languages"])}
    facts = {
        tags[tag]: {"family": f"{string}{fact['family']}", f"{string} key": string, "number": 1}
        for tag, fact in document["world"]["languages"].items()
    }
    data = {
        tags[tag]: {**part, "bad": {string: 3}, "dropped": {f"{string} more": 2}}
        for tag, part in document["data"]["languages"].items()
    }
    arms = {
        f"{name} {string}": _renamed(arm, tags) | {"config": {string: f"{string} of {name}", "same": string}}
        for name, arm in document["arms"].items()
    }
    return document | {
        "title": string,
        "kind": string,
        "command": string,
        "versions": {string: string, "torch": string},
        "world": {
            "seed": 0,
            "languages": facts,
            "relatedness": document["world"]["relatedness"] | {"tags": list(tags.values())},
        },
        "data": {"vocabulary": 4000, "languages": data},
        "arms": arms,
        "added": _stuffed_addition(document["added"], tags, string),
        "transfer": {
            f"{string} {task}": _stuffed_task(part, tags, string)
            for task, part in document["transfer"].items()
        },
        **_stuffed_diagnoses(document, tags, string),
        "config": {string: {string: [string, string]}},
        "notes": [string, f"{string} again"],
    }


def _stuffed_addition(part: dict[str, Any], tags: dict[str, str], string: str) -> dict[str, Any]:
    texts = {
        "vocabulary": {"mode": string, "size": 4000, "own_rows": 7},
        "advice": {"vocab": f"{string} advised", "why": f"{string} advises"},
        "chosen_fertility": {"tokens_per_word": 1.0},
    }
    languages = {}
    for tag, each in part["languages"].items():
        overlap = {tags[old]: value for old, value in each["relatives"]["overlap"].items()}
        relatives = {"overlap": overlap, "chosen": [], "why": f"{string} is like it"}
        languages[tags[tag]] = {**each, **texts, "init_from": [string], "relatives": relatives}
    return {
        "languages": languages,
        "old_languages": {tags[old]: is_ for old, is_ in part["old_languages"].items()},
    }


def _stuffed_diagnoses(document: dict[str, Any], tags: dict[str, str], string: str) -> dict[str, Any]:
    run = f"{string} run"
    return {
        "gradients": [
            {
                **each,
                "run": run,
                "languages": [tags[tag] for tag in each["languages"]],
                "groups": {f"{string} {group}": part for group, part in each["groups"].items()},
            }
            for each in document["gradients"]
        ],
        "monitor": {
            f"{name} {string}": [
                {**line, "groups": {f"{string} {group}": part for group, part in line["groups"].items()}}
                for line in lines
            ]
            for name, lines in document["monitor"].items()
        },
        "masks": [_stuffed_masks(each, tags, run) for each in document["masks"]],
        "controls": [_stuffed_controls(each, tags, run, string) for each in document["controls"]],
        "gaps": [_stuffed_gaps(each, tags, string) for each in document["gaps"]],
    }


def _stuffed_masks(part: dict[str, Any], tags: dict[str, str], run: str) -> dict[str, Any]:
    languages = {}
    for tag, entry in part["languages"].items():
        at = {
            share: {**each, "by_mask": {tags[other]: loss for other, loss in each["by_mask"].items()}}
            for share, each in entry["sparsity"].items()
        }
        languages[tags[tag]] = {**entry, "sparsity": at}
    overlap = {
        share: {**each, "languages": [tags[tag] for tag in each["languages"]]}
        for share, each in part["overlap"].items()
    }
    return {**part, "run": run, "languages": languages, "overlap": overlap}


def _stuffed_controls(part: dict[str, Any], tags: dict[str, str], run: str, string: str) -> dict[str, Any]:
    languages = {
        tags[tag]: {
            key: {**each, "pack": f"{string} pack"} if isinstance(each, dict) else each
            for key, each in entry.items()
        }
        for tag, entry in part["languages"].items()
    }
    packs = [tags.get(pack, pack) for pack in part["packs"]]
    return {**part, "run": run, "source": f"{string} source", "languages": languages, "packs": packs}


def _stuffed_gaps(part: dict[str, Any], tags: dict[str, str], string: str) -> dict[str, Any]:
    def named(gaps: dict[str, Any]) -> dict[str, Any]:
        return {
            f"{string} {name}": {**gap, "verdict": f"{string} verdict"} if "verdict" in gap else gap
            for name, gap in gaps.items()
        }

    languages = {
        tags[tag]: {**entry, "gaps": named(entry["gaps"]), "settings": named(entry["settings"])}
        for tag, entry in part["languages"].items()
    }
    texts = {"condition": f"{string} condition", "reference": f"{string} reference"}
    notes = {f"{string} bilingual": f"{string} note"}
    return {
        **part,
        **texts,
        "languages": languages,
        "mean": named(part["mean"]),
        "notes": notes,
        "left_out": notes,
    }


def _stuffed_task(part: dict[str, Any], tags: dict[str, str], string: str) -> dict[str, Any]:
    def renamed(table: dict[str, Any]) -> dict[str, Any]:
        return {**table, "languages": {tags[tag]: each for tag, each in table["languages"].items()}}

    tables = {
        key: {name: renamed(table) for name, table in part[key].items()} for key in ("modules", "differences")
    }
    texts = {
        "task": f"{string} task",
        "label": string,
        "metric": f"{string} metric",
        "source": string,
        "labels": [string],
    }
    return {**renamed(part), **tables, **texts}


def _renamed(arm: dict[str, Any], tags: dict[str, str]) -> dict[str, Any]:
    scores = {tags[tag]: score for tag, score in arm["valid"]["languages"].items()}
    curves = {
        key: [
            {**point, "languages": {tags[tag]: loss for tag, loss in point["languages"].items()}}
            for point in arm[key]
        ]
        for key in ("train_curve", "valid_curve")
    }
    return arm | curves | {"valid": {**arm["valid"], "languages": scores}}
