"""The measuring protocol, on latencies that are known."""

from __future__ import annotations

import json
from statistics import median

import pytest

from hwnas.core.errors import EvaluationFailed, FileFormatError, InputError
from hwnas.hardware import timing
from hwnas.hardware.engines.onnxruntime import OnnxRuntimeEngine
from hwnas.hardware.model_files import untrained
from hwnas.hardware.reference import reference_network
from hwnas.hardware.timing import Measurement, measure, t_interval


@pytest.fixture
def file(space):
    return untrained(space.decode(next(iter(space.uniform_architectures().values()))), OnnxRuntimeEngine())


def test_ratios_remove_drift_that_a_median_of_times_would_keep(target, store, file, fake_timer, truth_ms):
    measure(target, {}, store, timer=fake_timer())  # a quiet machine establishes the reference
    ramp = fake_timer(drift=lambda share: 1.0 + share)
    measured = measure(target, {"net": file.content}, store, timer=ramp)["net"]
    true_ms = truth_ms(file)
    assert measured.median_ms == pytest.approx(true_ms, rel=1e-9)
    plain_ms = median(sample for session in measured.raw for sample in session.cpu_ms)
    assert plain_ms > 1.4 * true_ms


def test_a_lucky_sample_changes_nothing(target, store, file, fake_timer, truth_ms):
    class Lucky(fake_timer):
        def time_session(self, target, models, plan):
            session = super().time_session(target, models, plan)
            if "net" in session.samples:
                row = session.samples["net"]
                session.samples["net"] = type(row)((row.cpu_ms[0] / 10, *row.cpu_ms[1:]), row.wall_ms)
            return session

    measured = measure(target, {"net": file.content}, store, timer=Lucky())["net"]
    assert measured.median_ms == pytest.approx(truth_ms(file), rel=1e-9)


def test_the_reference_is_established_once_from_five_sessions_and_never_changes(target, store, file, fake_timer):
    first = fake_timer()
    before = measure(target, {"net": file.content}, store, sessions=2, timer=first)["net"]
    assert first.sessions == [("net",)] * 2 + [()] * 5  # after the file, which may be refused
    slower = fake_timer(drift=lambda share: 1.5)
    after = measure(target, {"net": file.content}, store, sessions=2, timer=slower)["net"]
    assert slower.sessions == [("net",)] * 2
    assert after.reference_ms == before.reference_ms
    assert after.median_ms == pytest.approx(before.median_ms)


def test_one_thread_counts_cpu_time_and_more_threads_wall_time(target_of, store, file, fake_timer):
    class BusyCandidate(fake_timer):
        """Waits for something else during the candidate's calls only: wall time grows, CPU time does not."""

        def time_session(self, target, models, plan):
            session = super().time_session(target, models, plan)
            if "net" in session.samples:
                row = session.samples["net"]
                session.samples["net"] = type(row)(row.cpu_ms, tuple(3 * ms for ms in row.wall_ms))
            return session

    one, two = (
        measure(target_of(threads=threads), {"net": file.content}, store, timer=BusyCandidate())["net"]
        for threads in (1, 2)
    )
    assert two.median_ms / two.reference_ms == pytest.approx(3 * one.median_ms / one.reference_ms)


def test_the_interval_is_students_t_over_sessions():
    lower, upper = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    # Mean 3, deviation 1.5811, t(0.975, 4) = 2.7764: 3 ± 2.7764 · 1.5811 / √5.
    assert (lower, upper) == (pytest.approx(1.0368, abs=1e-4), pytest.approx(4.9632, abs=1e-4))


def test_inside_means_the_upper_end_and_not_the_middle(target, store, file, fake_timer):
    measured = measure(target, {"net": file.content}, store, timer=fake_timer(noise=0.05))["net"]
    lower, upper = measured.interval_ms
    assert lower < measured.median_ms < upper
    assert not measured.inside(measured.median_ms)
    assert measured.inside(upper)
    assert len(measured.sessions_ms) == len(measured.raw) == 5


def test_a_measurement_holds_every_sample_and_the_sum_of_the_file(target, store, file, fake_timer):
    measured = measure(target, {"net": file.content}, store, sessions=3, rounds=7, timer=fake_timer())["net"]
    assert measured.file_sha256 == file.sha256
    assert measured.target_id == target.key.id
    assert measured.rounds == 21
    assert measured.unstable == 3
    assert measured.wall_p50_ms == pytest.approx(1.05 * measured.median_ms)
    assert all(len(values) == 7 for session in measured.raw for values in (session.cpu_ms, session.reference_wall_ms))


def test_a_measurement_survives_json(target, store, file, fake_timer):
    measured = measure(target, {"net": file.content}, store, timer=fake_timer(noise=0.02))["net"]
    assert Measurement.from_json(json.loads(json.dumps(measured.to_json()))) == measured


def test_damaged_measurements_are_refused_by_name(target, store, file, fake_timer):
    whole = measure(target, {"net": file.content}, store, timer=fake_timer())["net"].to_json()
    whole = json.loads(json.dumps(whole))
    cases = [{**whole, name: wrong} for name in whole for wrong in (None, {}, [None], float("nan"))]
    cases += [{**whole, name: "x"} for name in whole if name not in ("target_id", "file_sha256")]
    for case in [*cases, [], None, {}]:
        with pytest.raises(FileFormatError):
            Measurement.from_json(case)


def test_large_files_are_timed_in_groups_that_fit_in_memory(target, store, file, fake_timer, monkeypatch):
    monkeypatch.setattr(timing, "GROUP_BYTES", 2 * len(file.content))
    timer = fake_timer()
    models = {name: file.content for name in "abcde"}
    measured = measure(target, models, store, sessions=2, timer=timer)
    assert list(measured) == list("abcde")
    assert timer.sessions[:-5] == [("a", "b")] * 2 + [("c", "d")] * 2 + [("e",)] * 2


def test_one_session_has_no_interval(target, store, file, fake_timer):
    with pytest.raises(InputError, match="at least 2 sessions"):
        measure(target, {"net": file.content}, store, sessions=1, timer=fake_timer())


def test_a_timer_that_fails_stores_nothing(target, store, file, fake_timer):
    class Broken(fake_timer):
        def time_session(self, target, models, plan):
            raise EvaluationFailed("broken")

    with pytest.raises(EvaluationFailed, match="broken"):
        measure(target, {"net": file.content}, store, timer=Broken())
    assert store.read(target).reference is None


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 24, 33), (3, 47, 47), (3, 48, 48), (4, 96, 96), (3, 224, 224)])
def test_the_reference_network_takes_any_images(shape):
    assert untrained(reference_network(shape), OnnxRuntimeEngine()).input_shape == shape
