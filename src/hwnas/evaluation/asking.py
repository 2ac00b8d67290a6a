"""Questions for several processes: each is asked one at a time, and the answers come as they are found."""

from __future__ import annotations

import selectors
import signal
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from hwnas.core.errors import (
    BudgetError,
    EvaluationFailed,
    FileFormatError,
    HwnasError,
    InputError,
    ProcessLost,
    RunError,
)  # fmt: skip
from hwnas.evaluation.process import Child, started

PATIENCE_S = 600.0
STILL_AT = "at"  # the field of a message that is no answer yet: how far the child is
_ERRORS: Mapping[str, type[HwnasError]] = {
    kind.__name__: kind for kind in (BudgetError, EvaluationFailed, FileFormatError, InputError, RunError)
}
# Several children share the cores, so none may take all of them; and the order of a sum depends on the threads.
_ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}


def answers(
    command: tuple[str, ...], opening: Mapping[str, Any], questions: Sequence[Mapping[str, Any]], processes: int,
    patience_s: float = PATIENCE_S,
) -> Generator[tuple[int, Mapping[str, Any]]]:  # fmt: skip
    """Asks until every question is answered; the children live as long as the iterator does.

    Args:
        command: starts a child, which reads `opening`, then answers questions until its socket is closed.
        opening: what all questions have in common.
        questions: plain JSON values.
        processes: how many children; never more than there are questions.
        patience_s: children of which none says a word for so long hang.

    Yields:
        The number of a question and what its child says: {"at": …} on the way, anything else is the answer.

    Raises:
        HwnasError: of the kind and in the words of the child that says so.
        ProcessLost: a child ended without an answer, or all hang.
    """
    left = deque(enumerate(questions))
    with ExitStack() as ended, selectors.DefaultSelector() as waiting:
        idle: list[Child] = []
        for _ in range(min(processes, len(questions))):
            child = ended.enter_context(started(command, patience_s, _ONE_THREAD))
            waiting.register(child.end, selectors.EVENT_READ, child)
            with _living(child):
                child.channel.send(opening)
            idle.append(child)
        busy: dict[Child, int] = {}
        while left or busy:
            while left and idle:
                child = idle.pop()
                busy[child], question = left.popleft()
                with _living(child):
                    child.channel.send(question)
            spoken = [key.data for key, _ in waiting.select(patience_s)]
            if not spoken:
                raise ProcessLost(f"{len(busy)} searching processes have not said a word in {patience_s:g} s")
            for child in spoken:
                with _living(child):
                    said = child.channel.receive().facts
                if "error" in said:
                    raise _ERRORS.get(said["kind"], EvaluationFailed)(said["error"])
                number = busy[child]
                if STILL_AT not in said:
                    del busy[child]
                    idle.append(child)
                yield number, said


@contextmanager
def _living(child: Child) -> Iterator[None]:
    """Within, a child that is gone, or does not take part in a message, is an error that says how it ended.

    Raises:
        ProcessLost: it is.
    """
    try:
        yield
    except (EOFError, ConnectionError, TimeoutError):
        code, lines = child.last_words()
        how = "hangs" if code is None else f"ended with status {code}"
        if code is not None and code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        last = lines[-1] if lines else "it said nothing"
        raise ProcessLost(
            f"a searching process {how} ({last}); what had finished is kept: run the same command again to go on"
        ) from None
