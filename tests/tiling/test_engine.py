"""The engine runs jobs and what follows from them, whatever runs them."""

import operator

import pytest

from slidelab.errors import SettingsError, UnreadableSlideError
from slidelab.tiling import Engine, Job


def fail(message):
    raise UnreadableSlideError(message, "Rescan it.")


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_results_and_followers_all_arrive(scheduler):
    got = []

    def follow(result):
        got.append((result.job.tag, result.value))
        return [Job(operator.neg, (result.value,), tag="second")] if result.job.tag == "first" else []

    with Engine(scheduler=scheduler, workers=2) as engine:
        engine.run((Job(operator.mul, (2, n), tag="first") for n in range(40)), follow)
    assert sorted(value for tag, value in got if tag == "first") == [2 * n for n in range(40)]
    assert sorted(value for tag, value in got if tag == "second") == [-2 * n for n in reversed(range(40))]


def test_an_error_is_a_result_with_its_advice_and_stops_nobody():
    got = []
    jobs = [Job(fail, ("torn tile",)), Job(operator.add, (1, 1))]
    with Engine(scheduler="threads", workers=1) as engine:
        engine.run(jobs, lambda result: got.append(result) or [])
    error = next(result.error for result in got if result.error)
    assert isinstance(error, UnreadableSlideError)
    assert (error.what, error.advice) == ("torn tile", "Rescan it.")
    assert "in fail" in "".join(error.__notes__)  # where it happened, for --debug
    assert [result.value for result in got if result.error is None] == [2]


def test_the_scheduler_of_a_running_cluster_is_used():
    from distributed import LocalCluster

    got = []
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Engine(scheduler=cluster.scheduler_address) as engine,
    ):
        engine.run([Job(operator.add, (1, 2))], lambda result: got.append(result.value) or [])
    assert got == [3]


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("not me")


def fail_unpicklable():
    raise Unpicklable("odd")


def test_errors_that_cannot_travel_are_told_in_words():
    got = []
    with Engine(scheduler="threads", workers=1) as engine:
        engine.run([Job(fail_unpicklable, ())], lambda result: got.append(result.error) or [])
    assert str(got[0]) == "Unpicklable: odd"


@pytest.mark.parametrize("scheduler", ["slurm", "tcp://127.0.0.1:1"])
def test_an_unknown_or_silent_scheduler_is_refused_with_advice(scheduler, monkeypatch):
    monkeypatch.setattr("slidelab.tiling.engine.CONNECT_TIMEOUT", "1s")
    with pytest.raises(SettingsError) as caught, Engine(scheduler=scheduler):
        pass
    assert "tcp://" in caught.value.advice


def test_jobs_are_drawn_lazily():
    drawn = []

    def jobs():
        for number in range(100):
            drawn.append(number)
            yield Job(operator.neg, (number,))

    most = []
    with Engine(scheduler="threads", workers=1) as engine:
        engine.run(jobs(), lambda result: most.append(len(drawn)) or [])
    assert most[0] < 10  # a window of jobs, not all of them, waits in the scheduler
