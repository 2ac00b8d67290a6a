"""A measurement says when it cannot be trusted: by hand, and on made-up machines whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hwnas.core.errors import FileFormatError
from hwnas.hardware.reference import reference_ms
from hwnas.hardware.sessions import Samples, Session
from hwnas.hardware.steadiness import doubts, throttled
from hwnas.hardware.timing import Measurement, measure
from hwnas.hardware.traces import FILE_MS, KINDS, TraceTimer, measure_traces, trace_figures

SESSIONS, ROUNDS = 5, 24


def samples(factor=lambda session, round_: 1.0, ms=0.5, scatter=0.01, seed=0):
    """Sessions by rounds in ms, slowed by a factor of both."""
    noise = np.exp(scatter * np.random.default_rng(seed).standard_normal((SESSIONS, ROUNDS)))
    slow = [[factor(session, round_) for round_ in range(ROUNDS)] for session in range(SESSIONS)]
    return (ms * np.asarray(slow) * noise).tolist()


def found(own, reference):
    return {doubt.name: doubt for doubt in doubts(own, reference, 0.5)}


def steady(ms=0.8):
    return samples(ms=ms, seed=1)


def test_the_marks_are_kept_on_200_made_up_machines(target, store):
    traces = measure_traces(200, 0, target, store)
    assert [sum(trace.kind == kind for trace in traces) for kind in KINDS] == [50] * 4
    figures = trace_figures(traces)
    assert all(figures["marks"].values()), figures
    assert figures["right_or_flagged"] == 1.0 and figures["largest_error_unflagged"] <= 0.02


def test_short_sessions_flag_as_well(target, store):
    figures = trace_figures(measure_traces(100, 1, target, store, rounds=12))
    assert figures["throttled_flagged"] >= 0.95 and figures["false_flags"] <= 0.02


def test_a_made_up_trace_is_what_it_says(target, store):
    def raw(kind):
        return measure(target, {"file": b"x"}, store, timer=TraceTimer(kind, 3))["file"]

    quiet, stutters = raw("steady"), raw("spikes")
    assert quiet.median_ms == pytest.approx(FILE_MS, rel=0.02)
    spiked = np.concatenate([row.cpu_ms for row in stutters.raw]) > 4 * FILE_MS
    assert 0.02 < spiked.mean() < 0.09
    assert raw("step").raw == raw("step").raw and raw("step").raw != raw("ramp").raw


def test_nothing_is_found_where_nothing_is_wrong():
    assert doubts(steady(), samples(), 0.5) == ()


def test_a_slow_session_is_throttling_although_the_ratio_cancels_it():
    slow = samples(lambda session, _: 1.4 if session == 2 else 1.0)
    own = samples(lambda session, _: 1.4 if session == 2 else 1.0, ms=0.8, seed=1)
    (doubt,) = doubts(own, slow, 0.5)
    assert doubt.name == "throttled" and doubt.figures["change"] == pytest.approx(1.4, rel=0.02)
    assert "took 4" in doubt.says and "measure again" in doubt.advice


def test_half_a_slow_session_is_throttling_and_a_slow_round_is_not():
    assert throttled(samples(lambda session, round_: 1.5 if session == 4 and round_ >= 12 else 1.0))
    assert throttled(samples(lambda session, round_: 1.5 if round_ == 7 else 1.0)) is None


def test_a_machine_three_times_as_slow_for_a_while_is_throttled_and_not_spiky():
    names = found(steady(), samples(lambda session, round_: 4.0 if session == 1 and 6 <= round_ < 13 else 1.0))
    assert "throttled" in names and "spiky" not in names


@pytest.mark.parametrize(("factor", "how"), [(1.5, "50 % more"), (0.6, "40 % less")])
def test_another_speed_than_that_of_the_long_run_is_said(factor, how):
    names = found(steady(), samples(lambda *_: factor, scatter=0.0))
    assert list(names) == ["other-speed"]
    assert f"took {how} than its long-run median of 0.5 ms" in names["other-speed"].says


def test_a_file_that_is_slowed_alone_is_uneven_or_its_sessions_disagree():
    late = samples(lambda _, round_: 1.2 if round_ >= 12 else 1.0, ms=0.8, seed=1)
    assert list(found(late, samples())) == ["uneven"]
    once = samples(lambda session, _: 1.2 if session == 3 else 1.0, ms=0.8, seed=1)
    assert list(found(once, samples())) == ["sessions-disagree"]


def test_many_spikes_are_said_and_few_are_not():
    rng = np.random.default_rng(5)
    spiked = {share: rng.uniform(size=(SESSIONS, ROUNDS)) < share for share in (0.05, 0.35)}
    names = {
        share: found(steady(), samples(lambda session, round_, at=at: 10.0 if at[session, round_] else 1.0))
        for share, at in spiked.items()
    }
    assert names[0.05] == {} and "spiky" in names[0.35]


def test_scatter_alone_is_no_change():
    """15 % from round to round makes quarters of 6 rounds more than 25 % apart now and then; that is not throttling."""
    assert [seed for seed in range(100) if throttled(samples(scatter=0.15, seed=seed))] == []


def test_samples_that_cannot_be_are_refused():
    one = [[1.0]]
    for own, reference in (([], []), ([[0.0]], one), ([[1.0, 1.0]], one), (one, [*one, *one]), ([[]], [[]])):
        with pytest.raises(ValueError, match="samples"):
            doubts(own, reference, 1.0)
    assert doubts(one, one, 1.0) == ()


def test_doubts_survive_json_and_a_measurement_from_before_them_is_judged_by_its_samples(target, store):
    measured = measure(target, {"file": b"x"}, store, timer=TraceTimer("step", 0))["file"]
    assert [doubt.name for doubt in measured.doubts][0] == "throttled"
    stored = json.loads(json.dumps(measured.to_json()))
    assert Measurement.from_json(stored) == measured
    old = {**stored, "format": "hwnas-measurement@1"}
    del old["doubts"]
    assert Measurement.from_json(old) == measured
    first = stored["doubts"][0]
    for wrong in ([{}], [1], [{**first, "figures": {"change": "x"}}], [{**first, "says": 1}]):
        with pytest.raises(FileFormatError, match="measurement"):
            Measurement.from_json({**stored, "doubts": wrong})


def test_the_clock_that_counts_is_judged(target_of, store):
    class Waits:
        """Something else takes the processor in one session: wall time grows, CPU time does not."""

        taken = 0

        def time_session(self, target, models, plan):
            self.taken += len(models) > 1
            slow = 2.0 if self.taken == 3 else 1.0
            row = Samples((0.5,) * plan.rounds, (0.5 * slow,) * plan.rounds)
            return Session(dict.fromkeys(models, row), unstable=0, repeated=0)

    one, two = (
        measure(target_of(threads=threads), {"file": b"x"}, store, timer=Waits())["file"].doubts for threads in (1, 2)
    )
    assert one == () and [doubt.name for doubt in two] == ["throttled"]


def test_a_yardstick_taken_while_the_machine_changed_is_said(target, store, fake_timer, listener):
    ramp = fake_timer(drift=lambda share: 1.0 + share)
    assert reference_ms(target, store, ramp, listener) > 0
    (said,) = listener.said
    assert "did not keep its speed" in said and "HWNAS_CACHE" in said
    assert reference_ms(target, store, ramp, listener) > 0 and listener.said == [said]  # stored all the same
