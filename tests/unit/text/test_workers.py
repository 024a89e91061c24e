"""Workers: every task once, errors and deaths told, no process left behind."""

import multiprocessing
import os
import signal
import threading
import time

import pytest

from polymod.errors import Failure, Stopped, UserError
from polymod.text.workers import Workers, stoppable


def square(number: int):
    yield number
    yield 1
    return number * number


def environment(name: str):
    yield 0
    return os.environ.get(name)


def refuse(number: int):
    yield 1
    raise UserError("wrong", where=f"line {number}", fix="mend it")


def die(number: int):
    yield 1
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(_: int):
    yield os.getpid()
    time.sleep(60)


def test_every_task_is_done_once_in_any_number_of_processes():
    with Workers(2) as workers:
        for _ in range(2):  # the processes are used again
            events = list(workers.run(square, range(7)))
            results = {event.task: event.results[0] for event in events if event.results}
            assert results == {number: number * number for number in range(7)}
            assert sum(event.done for event in events) == sum(range(7)) + 7
        assert len(multiprocessing.active_children()) == 2
        assert list(workers.run(square, [])) == []
        (*_, last) = workers.run(environment, ["TOKENIZERS_PARALLELISM"])
        assert last.results == ("false",)
    assert multiprocessing.active_children() == []


def test_errors_come_out_with_their_place():
    with Workers(1) as workers, pytest.raises(UserError) as error:
        list(workers.run(refuse, [7]))
    assert (error.value.what, error.value.where, error.value.fix) == ("wrong", "line 7", "mend it")
    assert str(error.value) == "line 7: wrong\n  fix: mend it"


def test_the_death_of_a_process_is_told():
    with Workers(1) as workers, pytest.raises(Failure, match=r"died \(killed by signal 9\)"):
        list(workers.run(die, [1]))


def test_leaving_ends_what_is_under_way():
    started = time.monotonic()
    with Workers(1) as workers:
        next(workers.run(sleep, [1]))
    assert time.monotonic() - started < 30
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_end_the_work_and_are_as_before_afterwards(number):
    before = signal.getsignal(number)

    def work() -> None:
        with stoppable():
            os.kill(os.getpid(), number)
            time.sleep(1)

    with pytest.raises(Stopped, match=f"stopped by {number.name}.*\n.*same command again"):
        work()
    assert signal.getsignal(number) is before


def test_other_threads_do_not_touch_signals():
    errors = []

    def run() -> None:
        try:
            with stoppable():
                pass
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == []
