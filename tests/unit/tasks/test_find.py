"""Files of a task below a folder: the names they may have, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from _asserts import assert_user_error
from polymod.languages import LanguageError
from polymod.tasks.find import available, find, find_all
from polymod.tasks.task import TASKS, task_named

NLI, NER, POS, QA = TASKS.values()


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *(
            "test.de.jsonl",
            "test.deu_Latn.jsonl.gz",
            "a/b/test.de.jsonl.zst",
            "test-de.tsv",
            "test-de_DE.jsonl",
        ),
        *("test/de.jsonl", "x/test/ger.jsonl.gz", "de/test.jsonl", "deu/test.tsv.gz", "xnli/test-de.tsv"),
    ],
)
def test_names_of_a_file(tmp_path: Path, name: str) -> None:
    make(tmp_path, name)
    assert available(tmp_path, NLI) == {"train": {}, "dev": {}, "test": {"de": tmp_path / name}}


@pytest.mark.parametrize(
    "name",
    [
        *("test.de.json", "tests.de.jsonl", "de.test.jsonl", "de.jsonl", "test.jsonl", ".test.de.jsonl"),
        *(".x/test.de.jsonl", "test.de.jsonl.bz2", "nli/train.jsonl", "dev/train.jsonl", "train-v1.1.jsonl"),
        *("train/squad11dev_minus_xquad.en.jsonl", "train/notes.jsonl", "test.de", "jsonl"),
    ],
)
def test_names_of_other_files(tmp_path: Path, name: str) -> None:
    make(tmp_path, name)
    assert available(tmp_path, NLI) == {"train": {}, "dev": {}, "test": {}}


def test_a_folder_of_all_tasks_has_the_files_of_each(tmp_path: Path) -> None:
    make(
        tmp_path,
        *(
            "nli/train/train.en.jsonl.gz",
            "nli/xnli/dev.de.jsonl.gz",
            "text/train.en.jsonl",
            "qa/xquad/test.de.json",
        ),
        *(
            "ner/wikiann/test.de.tsv",
            "pos/ud/test.de.tsv",
            "pos/ud_ewt/train.en.conllu",
            "tatoeba/test.de.tsv",
        ),
    )
    found = {task.name: available(tmp_path, task) for task in TASKS.values()}
    assert found["nli"]["train"] == {"en": tmp_path / "nli/train/train.en.jsonl.gz"}
    assert found["nli"]["dev"] == {"de": tmp_path / "nli/xnli/dev.de.jsonl.gz"}
    assert found["ner"]["test"] == {"de": tmp_path / "ner/wikiann/test.de.tsv"}
    assert found["pos"]["test"] == {"de": tmp_path / "pos/ud/test.de.tsv"}
    assert found["pos"]["train"] == {"en": tmp_path / "pos/ud_ewt/train.en.conllu"}
    assert found["qa"]["test"] == {"de": tmp_path / "qa/xquad/test.de.json"}


def test_files_of_another_task_are_never_taken(tmp_path: Path) -> None:
    make(tmp_path, "udpos/test-de.tsv", "retrieval/test.fr.tsv", "xnli/test.ru.tsv")
    assert available(tmp_path, NER)["test"] == {}
    assert list(available(tmp_path, POS)["test"]) == ["de"]


def test_the_folder_of_one_task_may_be_given_and_its_parts_are_one(tmp_path: Path) -> None:
    folder = make(tmp_path / "nli", "train/train.en.jsonl", "xnli/dev.en.jsonl", "xnli/dev.de.jsonl")
    assert find(folder, NLI, "train", "eng_Latn") == folder / "train/train.en.jsonl"
    assert list(find_all(folder, NLI, "dev")) == ["de", "en"]


def test_two_files_of_one_split_and_language_are_both_named(tmp_path: Path) -> None:
    make(tmp_path, "mlqa/dev.de.json", "xquad/dev.deu.json.gz")
    parts = (
        str(tmp_path / "mlqa/dev.de.json"),
        str(tmp_path / "xquad/dev.deu.json.gz"),
        "dev of 'de' (German)",
    )
    assert_user_error(lambda: available(tmp_path, QA), *parts, "narrower folder")
    assert find(tmp_path / "mlqa", QA, "dev", "de") == tmp_path / "mlqa/dev.de.json"


def test_what_is_missing_is_named_with_what_there_is(tmp_path: Path) -> None:
    make(tmp_path, "train.en.conll", "test.en.conll", "test.ar.conll")
    call = lambda: find(tmp_path, NER, "test", "deu")  # noqa: E731
    assert_user_error(call, "no test file of ner in 'de' (German)", str(tmp_path), "train: en; test: ar, en")
    assert_user_error(lambda: find_all(tmp_path, NER, "dev"), "no dev file of ner", "train: en")
    assert_user_error(lambda: find_all(tmp_path, QA, "dev"), "no dev file of qa", "<language>.json")


def test_a_folder_that_is_none_and_a_language_that_is_none_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "train.xx.conll")
    assert_user_error(lambda: available(tmp_path / "not", NER), "no such folder", "conll or")
    assert_user_error(lambda: available(tmp_path / "train.xx.conll", NER), "a file, not a folder")
    with pytest.raises(LanguageError, match=r"train\.xx\.conll: unknown language 'xx'"):
        available(tmp_path, NER)


@pytest.mark.parametrize(
    ("name", "task"),
    [("nli", NLI), ("XNLI", NLI), ("panx", NER), ("PAN-X", NER), ("wikiann", NER), ("udpos", POS)]
    + [(name, QA) for name in ("xquad", "mlqa", "tydiqa", "TyDi_QA", " qa ")],
)
def test_tasks_have_other_names(name: str, task) -> None:
    assert task_named(name) is task


def test_unknown_tasks_are_refused_with_the_nearest() -> None:
    assert_user_error(
        lambda: task_named("wikian"), "'wikian'", "did you mean 'wikiann'", "nli (xnli)", "tatoeba"
    )
    assert_user_error(lambda: task_named("zzz"), "unknown task 'zzz'", "tasks are nli")
    assert_user_error(lambda: task_named("Tatoeba"), "sentence retrieval", "polymod retrieve")


def test_tasks_know_their_own_name_and_metric() -> None:
    for name, task in TASKS.items():
        assert task.name == name
        assert task.main_metric in task.metrics(task.statistics([], [], "en").sum(0))
        assert (task.kind == "span") == (task.labels([]) == ())
