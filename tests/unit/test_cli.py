"""The command line's contract: exit codes, one document on stdout, one message on stderr, fast help."""

from __future__ import annotations

import errno
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from _asserts import assert_one_document, assert_refused, assert_user_error
from _toys import ToyConfig, run, run_polymod, toy_folder
from polymod import cli, config
from polymod.cli import COMMANDS, execute, parse
from polymod.commands.help import help_text
from polymod.config import fields
from polymod.errors import Busy, Failure, Stopped, UserError

Ran = subprocess.CompletedProcess[str]
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}  # as it is unless somebody asks for the other
TOY = """
import sys, time
from types import SimpleNamespace
from polymod import cli, config
from polymod.config import CommandConfig

def main(config):
    print("begun", file=sys.stderr, flush=True)
    {body}
    return {{"answer": "x" * 100_000}}

cli.COMMANDS["toy"] = "A toy."
sys.modules["polymod.commands.toy"] = SimpleNamespace(Config=CommandConfig, main=main, show=print)
sys.exit(cli.execute("toy", sys.argv[1:]))
"""


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Ran]]:
    """``toy(main, *words)`` runs a command ``toy`` whose ``main`` is given."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}

    def show(document: dict[str, Any]) -> None:
        print("shown:", document)

    def run_toy(main: Callable[[ToyConfig], Any], *words: str) -> Ran:
        module = SimpleNamespace(Config=ToyConfig, main=main, show=show)
        monkeypatch.setitem(sys.modules, "polymod.commands.toy", module)
        monkeypatch.setitem(COMMANDS, "toy", "A toy.")
        code = execute("toy", words)
        captured = capsys.readouterr()
        return Ran(words, code, captured.out, captured.err)

    yield run_toy
    for number, handler in handlers.items():
        signal.signal(number, handler)


def raising(error: BaseException) -> Callable[[ToyConfig], Any]:
    """A ``main`` that fails with an error."""

    def main(_: ToyConfig) -> Any:
        raise error

    return main


class Panic(BaseException):
    """As ``tokenizers`` raises: no ``Exception``."""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("wrong", where="a.txt:3", fix="mend it"), 2, "error: a.txt:3: wrong\n  fix: mend it\n"),
        (Failure("does not hold"), 1, "error: does not hold\n"),
        (Busy("in use"), 73, "error: in use\n"),
        (Stopped("stopped after step 3"), 75, "error: stopped after step 3\n"),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.txt"), 2, "error: a.txt: no such file\n"),
        (PermissionError(errno.EACCES, "Permission denied", "a.txt"), 2, "error: a.txt: permission denied\n"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 1, "error: cannot allocate memory\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, "error: a worker process or the reader of stderr"),
        (RuntimeError("oops"), 1, "error: RuntimeError: oops\n  this is a fault in polymod; --debug shows"),
        (Panic("rust"), 1, "error: Panic: rust\n  this is a fault in polymod"),
    ],
)
def test_every_error_has_its_exit_code_and_one_message(
    toy: Callable[..., Ran], error: BaseException, code: int, said: str
) -> None:
    for words in (["p"], ["p", "--json"]):
        done = toy(raising(error), *words)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(said)
        assert "Traceback" not in done.stderr
    assert "Traceback" in toy(raising(error), "p", "--debug").stderr


def test_an_interrupt_is_exit_code_75_without_a_traceback(toy: Callable[..., Ran]) -> None:
    for words in (["p"], ["p", "--debug"]):
        done = toy(raising(KeyboardInterrupt()), *words)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (75, "", 1)
        assert "the same command goes on" in done.stderr


def test_control_characters_in_an_error_are_escaped(toy: Callable[..., Ran]) -> None:
    error = UserError("name \x1b[31mred\x1b[0m \u202eevil\r\x07", where=os.fsdecode(b"\xff.txt"))
    done = toy(raising(error), "p")
    assert done.stderr == "error: \\udcff.txt: name \\x1b[31mred\\x1b[0m \\u202eevil\\r\\x07\n"


def test_json_is_one_document_in_ascii_whatever_is_printed_meanwhile(toy: Callable[..., Ran]) -> None:
    def main(config: ToyConfig) -> dict[str, Any]:
        print("a library talks")
        return {"path": str(config.path), "text": "é\u202e\x1b", "lone": "\udcff"}

    done = toy(main, "p", "--json")
    document = assert_one_document(done)
    assert document == {"schema": 1, "path": "p", "text": "é\u202e\x1b", "lone": "\udcff"}
    assert done.stderr == "a library talks\n"


def test_without_json_the_document_is_shown(toy: Callable[..., Ran]) -> None:
    assert toy(lambda _: {"a": 1}, "p").stdout == "shown: {'a': 1}\n"


def test_a_number_that_json_does_not_have_is_a_fault(toy: Callable[..., Ran]) -> None:
    done = toy(lambda _: {"loss": float("nan")}, "p", "--json")
    assert (done.returncode, done.stdout) == (1, "")


def test_a_failure_with_a_document_prints_both(toy: Callable[..., Ran]) -> None:
    failure = Failure("two files differ", document={"problems": ["a", "b"]})
    done = toy(raising(failure), "p", "--json")
    assert assert_one_document(done, code=1)["problems"] == ["a", "b"]
    assert done.stderr == "error: two files differ\n"
    assert toy(raising(failure), "p").stdout == "shown: {'problems': ['a', 'b']}\n"


def test_help_and_print_config_do_not_run_the_command(toy: Callable[..., Ran]) -> None:
    never = raising(AssertionError("it ran"))
    for words in (
        ["--help"],
        ["-h"],
        ["p", "--help"],
        ["--limit", "many", "--help"],
        ["p", "--print-config"],
    ):
        done = toy(never, *words)
        assert (done.returncode, done.stderr) == (0, ""), words
        assert "limit" in done.stdout
    assert toy(never, "--print-config").returncode == 2, "a config that is not valid cannot be shown"
    shown = json.loads(toy(never, "p", "--print-config", "--json").stdout)
    assert shown["schema"] == 1
    assert "limit" in shown


def test_a_wrong_option_is_refused_before_the_command_runs(toy: Callable[..., Ran]) -> None:
    never = raising(AssertionError("it ran"))
    assert_refused(toy(never, "p", "--limt", "3"), "--limt: unknown option 'limt'", "did you mean --limit?")
    assert_refused(toy(never, "p", "--jsn"), "unknown option 'jsn'", "--json")
    assert_refused(toy(never, "p", "-j"), "unknown option '-j'", "--name value")
    assert_refused(toy(never, "p", "--json=yes"), "--json takes no value")
    assert_refused(toy(never, "p", "--limit"), "--limit needs a value")
    assert_refused(toy(never), "PATH is missing")


def test_arguments_go_to_their_fields_and_the_list_takes_the_rest(toy: Callable[..., Ran]) -> None:
    seen: list[ToyConfig] = []

    def main(config: ToyConfig) -> dict[str, Any]:
        seen.append(config)
        return {}

    assert toy(main, "p", "--loud", "--name", "x").returncode == 0
    assert toy(main, "p", "a", "--limit", "-3", "b", "c").returncode == 0
    assert (seen[0].path, seen[0].more, seen[0].loud, seen[0].name) == (Path("p"), (), True, "x")
    assert (seen[1].more, seen[1].limit) == (("a", "b", "c"), -3)


def test_one_config_file_is_taken(toy: Callable[..., Ran], tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yml"
    one.write_text("limit: 3\n")
    done = toy(lambda config: {"limit": config.limit, "path": str(config.path)}, str(one), "p", "--json")
    assert assert_one_document(done) == {"schema": 1, "limit": 3, "path": "p"}
    assert_refused(toy(raising(AssertionError()), str(one), "p", str(two)), "two config files")
    assert_refused(toy(raising(AssertionError()), "none.yaml", "p"), "none.yaml: cannot read")


def test_too_many_arguments_are_refused() -> None:
    assert_refused(run_polymod("verify", "a", "b"), "unexpected argument 'b'")


@pytest.mark.parametrize(
    ("words", "arguments", "options", "switches"),
    [
        (["a", "b"], ["a", "b"], [], set()),
        (["--b.c", "d"], [], [("b.c", "d")], set()),
        (["--b.c=d=e"], [], [("b.c", "d=e")], set()),
        (["--b="], [], [("b", "")], set()),
        (["--b", "-1"], [], [("b", "-1")], set()),
        (["--b", "--c", "d"], [], [("b", None), ("c", "d")], set()),
        (["--b"], [], [("b", None)], set()),
        (["a", "--json", "b"], ["a", "b"], [], {"json"}),
        (["--print-config", "--print_config", "--debug", "-h"], [], [], {"print-config", "debug", "help"}),
        (["--b", "1", "--b", "2"], [], [("b", "1"), ("b", "2")], set()),
        (["-"], ["-"], [], set()),
    ],
)
def test_words_are_split(
    words: list[str], arguments: list[str], options: list[tuple[str, str | None]], switches: set[str]
) -> None:
    assert parse(words) == (arguments, options, switches)


@pytest.mark.parametrize("word", ["-j", "-rf", "--json=1", "--help=x"])
def test_words_that_mean_nothing_are_refused(word: str) -> None:
    assert_user_error(lambda: parse([word]), "fix: ")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_a_config_a_main_and_a_show(name: str) -> None:
    module = importlib.import_module(cli.module_of(name))
    assert module.__doc__.startswith(f"``polymod {name}``")
    assert module.main.__doc__
    assert module.show.__doc__
    assert module.Config.__doc__


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_100_columns_and_names_every_option_with_its_meaning(name: str) -> None:
    config_class = importlib.import_module(cli.module_of(name)).Config
    page = help_text(name, COMMANDS[name], config_class)
    assert max(map(len, page.splitlines())) <= 100
    for key, field in fields(config_class).items():
        assert field.description, f"{key} has no description"
        shown = key.upper() if key in config_class.arguments else f"--{key.replace('_', '-')}"
        assert shown in page


def test_help_shows_arguments_kinds_defaults_and_sections() -> None:
    page = help_text("toy", "A toy.", ToyConfig)
    assert "Usage: polymod toy [CONFIG.yaml] PATH MORE... [--option value ...]" in page
    assert "--loud true|false" in page
    assert "say more [false]" in page
    assert "--languages A,B,..." in page
    assert "\nsizes:\n  --sizes.width N" in page
    assert "columns [4]" in page
    assert "--sizes.preset small|large" in page


def test_help_shows_the_defaults_of_the_default_preset() -> None:
    class Large(ToyConfig):
        @classmethod
        def preset(cls, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
            return "large", {"sizes": {"width": 400}}

    page = help_text("toy", "A toy.", Large)
    assert "Defaults are those of the preset large." in page
    assert "columns [400]" in page


def processor_seconds(code: str, *words: str) -> float:
    """What Python code costs; unlike the clock it hardly depends on what else the machine does."""
    command = [sys.executable, "-c", code, *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, words
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_answers_within_0_3_seconds(words: list[str]) -> None:
    """On a machine in a slow hour: within three times what its two libraries cost by themselves."""
    ours, libraries = "from polymod.cli import main; main()", "import pydantic, typer"
    assert any(processor_seconds(ours, *words) < max(0.3, 3 * processor_seconds(libraries)) for _ in range(5))


def test_the_commands_are_listed() -> None:
    page = run_polymod("--help").stdout
    for name, summary in COMMANDS.items():
        assert any(line.split() == [name, *summary.split()] for line in page.splitlines()), name
    assert max(map(len, page.splitlines())) <= 100


def test_without_arguments_it_shows_help_and_exits_2() -> None:
    done = run_polymod()
    assert done.returncode == 2
    assert "Commands:" in done.stdout + done.stderr


def test_a_misspelt_command_is_refused_with_a_suggestion() -> None:
    done = run_polymod("verfy", "x")
    assert done.returncode == 2
    assert "Did you mean 'verify'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_is_printed() -> None:
    done = run_polymod("--version")
    assert (done.returncode, done.stdout) == (0, "polymod 0.1.0\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_is_exit_code_75(number: signal.Signals) -> None:
    words = [sys.executable, "-c", TOY.format(body="time.sleep(60)")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "begun\n"
        process.send_signal(number)
        out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (75, "")
    assert said == "stopped; the same command goes on where this one ended\n"


def test_a_signal_during_an_import_is_exit_code_75_too(tmp_path: Path) -> None:
    """An exception in the middle of ``import torch`` would abort the process."""
    slow = "print('importing', file=sys.stderr, flush=True); atexit.register(print, 'late'); time.sleep(60)"
    (tmp_path / "slow.py").write_text(f"import atexit, sys, time; {slow}")
    words = [sys.executable, "-c", TOY.format(body="import slow")]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() + process.stderr.readline() == "begun\nimporting\n"
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=30)
    assert (process.returncode, out) == (75, ""), "atexit has run, so an exception went through the import"
    assert said == "stopped; the same command goes on where this one ended\n"


@pytest.mark.parametrize("words", [[], ["--json"], ["--help"], ["--print-config"]], ids=" ".join)
def test_a_reader_that_goes_away_is_no_error(words: list[str]) -> None:
    words = [sys.executable, "-c", TOY.format(body="pass"), *words]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, env=BUFFERED)
    os.close(write)
    assert (done.returncode, done.stderr.removeprefix("begun\n")) == (0, "")


def test_a_full_disk_behind_stdout_is_one_message() -> None:
    with open("/dev/full", "w") as full:
        words = [sys.executable, "-c", TOY.format(body="pass"), "--json"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, env=BUFFERED)
    assert (done.returncode, done.stderr) == (1, "begun\nerror: no space left on device\n")


def test_a_closed_stdout_is_no_error() -> None:
    script = "import os, sys; os.close(1); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    done = run("-c", script, "-c", "from polymod.cli import main; main()", "verify", "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_locale_without_unicode_changes_nothing(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / os.fsdecode("é\N{GREEK SMALL LETTER ALPHA}".encode()))
    for words in ([], ["--json"]):
        done = run_polymod("verify", folder, *words, env={"PYTHONIOENCODING": "ascii"})
        assert done.returncode == 0, done.stderr


def test_verify_says_that_every_hash_holds(tmp_path: Path) -> None:
    toy_folder(tmp_path / "a" / "inner")
    toy_folder(tmp_path / "a" / ".tmp-half")
    done = run_polymod("verify", tmp_path / "a")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'a'}: 1 manifest(s), every hash holds\n"


def test_verify_works_on_a_relative_path_that_climbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_folder(tmp_path / "a")
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    assert run_polymod("verify", "../a").returncode == 0


def test_verify_names_every_damaged_file(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "a")
    (folder / "trunk.bin").write_bytes(bytes(256))
    (folder / "languages" / "lang-nul.bin").unlink()
    (folder / "checkpoints" / "step-00000001").mkdir(parents=True)
    done = run_polymod("verify", folder, "--json")
    document = assert_one_document(done, code=1)
    assert len(document["problems"]) == 3
    for name in (
        "trunk.bin: content changed",
        "lang-nul.bin: missing",
        f"step-00000001/{'manifest.json'}: missing",
    ):
        assert any(name in problem for problem in document["problems"])
    assert "3 of the files differ" in done.stderr


def test_verify_refuses_what_has_no_manifest(tmp_path: Path) -> None:
    assert_refused(run_polymod("verify", tmp_path), "no manifest here")
    assert_refused(run_polymod("verify", tmp_path / "none"), "no such folder")


def test_a_document_that_verify_prints_is_json(tmp_path: Path) -> None:
    toy_folder(tmp_path / "a")
    assert json.loads(run_polymod("verify", tmp_path / "a", "--json").stdout)["problems"] == []


ODD_TEXTS = (
    "",
    "x",
    "-1",
    "0",
    "1e999",
    "nan",
    "9" * 5000,
    "a,b",
    "\x00",
    "\udcff",
    "no",
    "None",
    "../..",
    "[1]",
)


@pytest.mark.parametrize("name", COMMANDS)
def test_any_text_for_any_option_is_taken_or_refused(name: str) -> None:
    config_class = importlib.import_module(cli.module_of(name)).Config
    needed = [(key, "1") for key, field in fields(config_class).items() if field.is_required()]
    for key in [*fields(config_class), "nothing", "model", "train.", ".", ""]:
        for text in ODD_TEXTS:
            with suppress(UserError):
                config.load(config_class, None, [*needed, (key, text)])
