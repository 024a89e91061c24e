"""Which file is which language: any alias, no guesses, nothing taken twice."""

import errno
import os
from pathlib import Path

import pytest

from _texts import write_texts
from polymod.errors import UserError
from polymod.languages import LanguageError
from polymod.text.inventory import take_inventory

TEXT = ["some text"]


def tags(folder, languages=()):
    return [corpus.tag for corpus in take_inventory(folder, languages)]


def test_aliases_kinds_and_folders(tmp_path):
    write_texts(tmp_path, {"eng_Latn": TEXT, "no": TEXT, "zh_TW": TEXT, "con": TEXT})
    (tmp_path / "de.jsonl").write_text('{"text": "a"}\n')
    write_texts(tmp_path / "sr-Latn" / "deeper", {"b": TEXT, "a": TEXT})
    for other in ("INDEX.tsv", "README.md", ".hidden.txt", "LICENSE", "en.txt.bz2", "fr.parquet.gz"):
        (tmp_path / other).write_text("no corpus")
    (tmp_path / "metadata").mkdir()
    corpora = {corpus.tag: corpus for corpus in take_inventory(tmp_path)}
    assert list(corpora) == ["con", "de", "en", "no", "sr-Latn", "zh-Hant"]
    names = [source.name for source in corpora["sr-Latn"].sources]
    assert names == ["sr-Latn/deeper/a.txt", "sr-Latn/deeper/b.txt"]
    assert {corpus.sources[0].kind for corpus in corpora.values()} == {"txt", "jsonl"}


def test_languages_asked_for_come_in_that_order_and_others_are_not_looked_at(tmp_path):
    write_texts(tmp_path, {"en": TEXT, "de": TEXT, "jp": TEXT, "fr": []})
    assert tags(tmp_path, ["deu", "en_US"]) == ["de", "en"]


def refusal(folder, languages=()) -> str:
    with pytest.raises(UserError) as error:
        take_inventory(folder, languages)
    return str(error.value)


def test_unknown_names_are_refused_with_a_suggestion(tmp_path):
    write_texts(tmp_path, {"en": TEXT, "jp": TEXT})
    assert "did you mean 'ja' (Japanese)?" in refusal(tmp_path)
    assert "jp.txt" in refusal(tmp_path)
    with pytest.raises(LanguageError, match="unknown language 'xx'"):
        take_inventory(tmp_path, ["xx"])


def test_one_language_twice_is_refused(tmp_path):
    write_texts(tmp_path, {"en": TEXT, "eng_Latn": TEXT})
    assert "'en.txt' and 'eng_Latn.txt' are both the language 'en'" in refusal(tmp_path)
    write_texts(tmp_path / "other" / "de", {"a": TEXT})
    write_texts(tmp_path / "other", {"de": TEXT})
    assert "'de' and 'de.txt'" in refusal(tmp_path / "other")
    with pytest.raises(LanguageError, match="'en' and 'eng' are both"):
        take_inventory(tmp_path, ["en", "eng"])


def test_absent_languages_and_folders_are_told(tmp_path):
    write_texts(tmp_path, {"de": TEXT, "nds": TEXT})
    told = refusal(tmp_path, ["fr"])
    assert "no text in the language 'fr'" in told
    assert "languages with text: de, nds" in told
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "a file, not a folder" in refusal(tmp_path / "de.txt")
    (tmp_path / "void").mkdir()
    assert "no text files here" in refusal(tmp_path / "void")


ENCODINGS = {"utf-16": "UTF-16", "utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE", "utf-32": "UTF-32"}


@pytest.mark.parametrize(("encoding", "named"), ENCODINGS.items(), ids=ENCODINGS)
def test_other_encodings_are_named(tmp_path, encoding, named):
    (tmp_path / "en.txt").write_bytes("The quick brown fox.\n".encode(encoding) * 20)
    told = refusal(tmp_path)
    assert named in told
    assert "iconv" in told


def test_empty_files_count_only_beside_others(tmp_path):
    write_texts(tmp_path, {"en": []})
    assert "the file is empty" in refusal(tmp_path)
    write_texts(tmp_path / "two" / "en", {"a": [], "b": TEXT})
    assert tags(tmp_path / "two") == ["en"]


def test_unreadable_files_are_refused(tmp_path, monkeypatch):
    def denied(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    write_texts(tmp_path, {"en": TEXT})
    monkeypatch.setattr(Path, "open", denied)  # the superuser, as whom tests may run, can read everything
    assert "en.txt: cannot be read: Permission denied" in refusal(tmp_path)


def test_a_link_to_nowhere_is_refused(tmp_path):
    (tmp_path / "en.txt").symlink_to(tmp_path / "gone")
    assert "cannot be read: No such file" in refusal(tmp_path)


def test_facts_change_with_name_and_size_only(tmp_path):
    facts = take_inventory(write_texts(tmp_path / "a", {"en": TEXT}))[0].facts()
    assert take_inventory(write_texts(tmp_path / "b", {"en": TEXT}))[0].facts() == facts
    assert take_inventory(write_texts(tmp_path / "c", {"en": [*TEXT, ""]}))[0].facts() != facts
    assert take_inventory(write_texts(tmp_path / "d", {"eng": TEXT}))[0].facts() != facts
