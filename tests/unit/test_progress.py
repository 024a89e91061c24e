"""Progress: plain lines on stderr without a terminal, bars on one, user's words never read as markup."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from polymod import progress
from polymod.progress import bars


def console(terminal: bool = False) -> tuple[Console, io.StringIO]:
    """A console that writes into a text."""
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=100, soft_wrap=True, highlight=False), text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock whose time a test sets."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_without_a_terminal_there_are_no_escapes_and_no_returns() -> None:
    out, text = console()
    with bars("steps", out) as group:
        group.add("run", total=10)
        group.at("run", 5)
        group.print("said in between")
        group.remove("run")
    assert text.getvalue().isprintable() is False  # it has lines
    assert all(line.isprintable() for line in text.getvalue().splitlines())
    assert "said in between\n" in text.getvalue()


def test_a_line_comes_now_and_then_and_not_at_every_step(clock: list[float]) -> None:
    out, text = console()
    with bars("steps", out) as group:
        group.add("run", total=1000)
        for step in range(1, 1000):
            clock[0] = step * 0.1
            group.at("run", step)
        lines = text.getvalue().splitlines()
    assert 5 <= len(lines) <= 7


def test_a_line_says_name_count_unit_time_left_and_note(clock: list[float]) -> None:
    out, text = console()
    with bars("steps", out) as group:
        group.add("run", total=2000)
        clock[0] = 100.0
        group.at("run", 500, note="loss 4.2")
    assert text.getvalue() == "run: 500 of 2,000 steps, 300 s left  loss 4.2\n"


def test_a_bar_may_have_a_unit_of_its_own() -> None:
    out, text = console()
    with bars("MB", out) as group:
        group.add("read", total=12, unit="KB")
        group.add("count", total=3)
        group.remove("read")
        group.remove("count")
    assert text.getvalue() == "read: 0 of 12 KB  done\ncount: 0 of 3 MB  done\n"


def test_what_an_earlier_process_did_does_not_count_in_the_rate(clock: list[float]) -> None:
    out, text = console()
    with bars("steps", out) as group:
        group.add("run", total=2000, done=1000)
        clock[0] = 100.0
        group.at("run", 1500)
    assert ", 100 s left" in text.getvalue()


def test_the_end_is_told_unless_quiet(clock: list[float]) -> None:
    out, text = console()
    with bars("lines", out) as group:
        group.add("en", total=3)
        group.add("de", total=3)
        group.at("en", 3)
        group.remove("en", note="3 kept")
        group.remove("de", quiet=True)
    assert text.getvalue() == "en: 3 of 3 lines  3 kept\n"


def test_what_was_stopped_is_not_called_done_and_has_no_time_left(clock: list[float]) -> None:
    out, text = console()
    with bars("lines", out) as group:
        group.add("en", total=9)
        clock[0] += 1
        group.at("en", 3)
        group.remove("en", note="stopped")
    assert text.getvalue() == "en: 3 of 9 lines  stopped\n"


@pytest.mark.parametrize("terminal", [True, False])
def test_names_notes_and_units_are_not_markup(terminal: bool) -> None:
    out, text = console(terminal)
    with bars("[b]u[/b]", out) as group:
        group.add("[red]run[/red]", total=1)
        group.at("[red]run[/red]", 1, note="[/oops]")
        group._live.refresh()
        group.print("[bold]said")
        group.remove("[red]run[/red]", note="[/oops]")
    assert "[bold]said" in text.getvalue()
    assert "[red]run[/red]" in text.getvalue()
    if not terminal:
        assert "[red]run[/red]: 1 of 1 [b]u[/b]  [/oops]" in text.getvalue()


def test_a_terminal_gets_a_bar_with_count_and_note() -> None:
    out, text = console(terminal=True)
    with bars("steps", out) as group:
        group.add("run", total=10)
        group.at("run", 4, note="loss 4.2")
        group._live.refresh()
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.getvalue())
    assert re.search(r"run +.* 4/10 steps .*loss 4\.2", plain)


def test_an_error_leaves_the_terminal_usable() -> None:
    out, text = console(terminal=True)

    def fail() -> None:
        with bars("steps", out) as group:
            group.add("run", total=10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert text.getvalue().endswith("\x1b[?25h")  # the cursor is shown again


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with bars("steps") as group:
        group.add("run", total=1)
        group.remove("run")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "run: 0 of 1 steps  done\n"
