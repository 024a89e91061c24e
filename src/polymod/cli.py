"""The command line: one line per command.

Each command is a module with ``Config``, ``main(config) -> document`` and ``show(document)``. Nothing
heavy is imported here, so that ``polymod --help`` answers at once; a command imports torch when it runs.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from polymod.errors import Failure, Stopped, UserError, printable

COMMANDS = {
    "demo": "The whole story on a built-in world, with a report.",
    "world": "Write related languages with text and gold task data.",
    "prepare": "Make a tokenizer and token shards from text files.",
    "check-data": "Say what is wrong with a corpus.",
    "plan": "Memory, disk, time and epochs before anything runs.",
    "pretrain": "Pre-train a modular, shared or dense encoder.",
    "score": "Masked-LM loss per language on the valid split.",
    "extend": "Add languages to a run, with all else frozen.",
    "languages": "List, drop, rename, export or import languages.",
    "finetune": "Learn a task in one language, modules and embeddings frozen.",
    "transfer": "Score a fine-tuned model in every language, with controls.",
    "retrieve": "Find translations among sentences, per language pair.",
    "study": "Make the runs of a plan: arms, language sets, seeds.",
    "diagnose": "Interference: gradients, masks, gaps, controls.",
    "report": "One offline page from any runs and diagnostics.",
    "export": "Write a directory that transformers loads.",
    "import": "Make a run of a transformers X-MOD directory.",
    "verify": "Check every hash of a folder.",
    "bench": "This engine beside transformers' X-MOD.",
}
STOPPED = "stopped; the same command goes on where this one ended"

app = typer.Typer(
    help="Train modular multilingual encoders: a module per language, everything else shared.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _version(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"polymod {installed('polymod')}")
        raise typer.Exit


def _command(name: str) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        raise typer.Exit(execute(name, context.args))

    return run


for _name, _summary in COMMANDS.items():
    _settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(_name, help=_summary, context_settings=_settings, add_help_option=False)(_command(_name))


def module_of(name: str) -> str:
    """The module of a command; a keyword cannot name one."""
    return f"polymod.commands.{'import_' if name == 'import' else name.replace('-', '_')}"


def execute(name: str, words: Sequence[str]) -> int:
    """Run one command with its words; returns the exit code and lets no error through as a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, _stop)
    try:
        code = _execute(name, words)
        sys.stdout.flush()
        return code
    except BaseException as error:  # a panic in tokenizers is no Exception
        code = _tell(error)
        if "--debug" in words and not isinstance(error, KeyboardInterrupt):
            traceback.print_exception(error)
        _let_go_of_broken_pipes()
        return code


def _stop(_: int, frame: FrameType | None) -> None:
    """Interrupt the work; an import ends at once, because torch's C++ code aborts if one fails halfway."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os.write(2, f"{STOPPED}\n".encode())
            os._exit(75)
        frame = frame.f_back
    raise KeyboardInterrupt


def _tell(error: BaseException) -> int:
    """Say on stderr what went wrong; returns the exit code."""
    match error:
        case Stopped() if os.environ.get("RANK", "0") != "0":
            code, said = error.exit_code, ""  # the first of several processes says it
        case UserError():
            code, said = error.exit_code, f"error: {error}"
        case SystemExit(code=int() as code):
            said = ""
        case KeyboardInterrupt():
            code, said = 75, STOPPED
        case BrokenPipeError():
            code, said = 0, ""
        case OSError(filename=str() as path, strerror=str() as reason):
            code, said = 2, f"error: {path}: {reason[0].lower()}{reason[1:]}"
        case OSError(strerror=str() as reason):  # stdout on a full disk, no more memory or processes
            code, said = 1, f"error: {reason[0].lower()}{reason[1:]}"
        case _:
            fault = "this is a fault in polymod; --debug shows where"
            code, said = 1, f"error: {type(error).__name__}: {error}\n  {fault}"
    with suppress(OSError):  # nobody may be reading
        print(printable(said), file=sys.stderr, end="\n" if said else "")
    return code


def _let_go_of_broken_pipes() -> None:
    """Keep Python from failing again at its end where nobody reads a stream or its disk is full."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _execute(name: str, words: Sequence[str]) -> int:
    from polymod import config

    module = importlib.import_module(module_of(name))
    arguments, options, switches = parse(words)
    if "help" in switches:
        from polymod.commands.help import help_text

        print(help_text(name, COMMANDS[name], module.Config))
        return 0
    files = [word for word in arguments if word.endswith((".yaml", ".yml"))]
    rest = [word for word in arguments if word not in files]
    if len(files) > 1:
        raise UserError(f"two config files: {files[0]} and {files[1]}", fix="give one")
    of_job = [each for each in options if each[0].startswith("slurm.")]
    options = [each for each in options if each not in of_job]
    given = [*_positional(module.Config, rest), *options]
    resolved = config.load(module.Config, Path(files[0]) if files else None, given)
    if "print-config" in switches:
        tree = resolved.value.model_dump(mode="json")
        print(json.dumps({"schema": 1, **tree}) if "json" in switches else "\n".join(resolved.lines()))
        return 0
    if "slurm" in switches or of_job:
        again = [*arguments, *(f"--{key}" if text is None else f"--{key}={text}" for key, text in options)]
        _queue(name, again, resolved.value, of_job, switches)
        return 0
    nproc = resolved.value.nproc if module.Config.in_processes else 1
    if nproc > 1 and "WORLD_SIZE" not in os.environ:
        from polymod.train.launch import launch

        return launch(nproc, [sys.executable, "-m", "polymod", name, *words])
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the document, whatever a library prints
            document = module.main(resolved.value)
    except BrokenPipeError as error:  # not of stdout, which would be no failure
        raise Failure("a worker process or the reader of stderr has gone away") from error
    except Failure as failure:
        if failure.document is not None:
            _show(module, failure.document, switches)
        raise
    if document or not module.Config.in_processes:  # of several processes the first one has it
        _show(module, document, switches)
    return 0


def _queue(
    name: str, words: list[str], config: Any, options: Sequence[tuple[str, str | None]], switches: set[str]
) -> None:
    """The command as a job of a cluster; its own options have been checked."""
    from polymod.commands import slurm
    from polymod.config import load

    wanted = load(slurm.Request, None, options).value.slurm
    if "slurm" not in switches:
        raise UserError("options of a Slurm job without --slurm", fix="add --slurm, or leave them out")
    nproc = config.nproc if config.in_processes else 1
    if wanted.nodes > 1 and not config.in_processes:
        raise UserError(f"{name} runs on one machine", where="--slurm.nodes", fix="leave it out")
    words = [name, *(word for word in words if not word.startswith("--nproc="))]
    job = slurm.Job(words, wanted.nodes, nproc)
    _show(slurm, slurm.submit(job, wanted, getattr(config, "out", None)), switches)


def _show(module: Any, document: Mapping[str, Any], switches: set[str]) -> None:
    if "json" in switches:  # in ASCII, so that it is JSON in every locale and harmless on a terminal
        print(json.dumps({"schema": 1, **document}, allow_nan=False))
    else:
        module.show(document)


def parse(words: Sequence[str]) -> tuple[list[str], list[tuple[str, str | None]], set[str]]:
    """Split words (``a``, ``--b.c d``, ``--b.c=d``, ``--flag``) into arguments, options and switches.

    Raises:
        UserError: a short option, or a value for a switch.
    """
    from polymod.config import SWITCHES

    arguments: list[str] = []
    options: list[tuple[str, str | None]] = []
    switches: set[str] = set()
    queue = list(words)
    while queue:
        word = "--help" if queue[0] == "-h" else queue[0]
        key, equals, value = word.removeprefix("--").partition("=")
        del queue[0]
        if not word.startswith("--"):
            if word.startswith("-") and len(word) > 1:
                raise UserError(
                    f"unknown option {word!r}", fix="options are written --name value; see --help"
                )
            arguments.append(word)
        elif key.replace("_", "-") in SWITCHES:
            if equals:
                raise UserError(f"--{key} takes no value", fix=f"write --{key}, or leave it out")
            switches.add(key.replace("_", "-"))
        elif equals:
            options.append((key, value))
        elif queue and not queue[0].startswith("--"):
            options.append((key, queue.pop(0)))
        else:
            options.append((key, None))
    return arguments, options, switches


def _positional(config_class: Any, words: Sequence[str]) -> list[tuple[str, str]]:
    """Words without ``--`` and the fields that take them; a list at the end takes all that are left."""
    names = config_class.arguments
    last_is_list = names and str(config_class.model_fields[names[-1]].annotation).startswith("tuple")
    if len(words) > len(names) and not last_is_list:
        what = f"unexpected argument {words[len(names)]!r}"
        raise UserError(what, fix="options are --name value, lists have no spaces (en,de); see --help")
    pairs = list(zip(names, words, strict=False))
    if last_is_list and len(words) >= len(names):
        pairs[-1] = (names[-1], ",".join(words[len(names) - 1 :]))
    return pairs


def main() -> None:
    """Entry point of the ``polymod`` program."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 - the caller has closed it
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):  # a path that is not UTF-8 must not be an error
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except SystemExit as end:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and isinstance(end.code, int):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code)  # DTensor's cache keeps threads of gloo, which abort the interpreter's end
        raise
