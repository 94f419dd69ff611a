"""A pool of worker processes on a cluster: each task is done once, whatever happens to the workers.

If a worker or its node dies, the worker is replaced and its tasks are given to others. A worker that cannot write gets no
further tasks. When no tasks are left, those that take much longer than the others are also given to an idle worker, and
the first result is used; so one slow node does not delay the end.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from splade_lucene.counts import counted
from splade_lucene.distributed.cluster import Session, kill_all
from splade_lucene.errors import SpladeLuceneError, StorageError, first_line
from splade_lucene.notes import note

_POLL_SECONDS = 1.0
_PROGRESS_SECONDS = 5.0
_TRIES = 3
_SLOW = 3.0
_LEAST_SECONDS = 5.0


class Worker(Protocol):
    """What runs in a process of the pool. All of its methods return an :data:`Outcome`."""

    def start(self) -> Outcome:
        """Prepares for work."""
        ...

    def work(self, key: int, task: Any) -> Outcome:
        """Does a task."""
        ...

    def progress(self) -> int:
        """A count that grows while the worker makes progress."""
        ...


Outcome = tuple[bool, Any]
"""Whether a call succeeded, and its result or its error. An error that is returned keeps its class and attributes."""


def outcome_of(call: Callable[[], Any]) -> Outcome:
    """The outcome of a call, for a worker."""
    try:
        return True, call()
    except SpladeLuceneError as error:
        return False, error
    except Exception as error:  # a bug; report it with its class
        return False, SpladeLuceneError(f"{type(error).__name__}: {error}")


def result_of(outcome: Outcome) -> Any:
    """The result of a call.

    Raises:
        SpladeLuceneError: The call failed.
    """
    succeeded, found = outcome
    if not succeeded:
        raise found
    return found


@dataclass(eq=False)
class _Member:
    actor: Any
    start: Any
    host: str = ""
    is_ready: bool = False
    is_retired: bool = False
    tasks: set[int] = field(default_factory=set)
    answer: Any = None  # to come: how far the worker is
    progress: int = -1  # what it answered last


@dataclass(frozen=True)
class _Attempt:
    member: _Member
    key: int
    began: float


class WorkPool:
    """A pool of workers.

    Args:
        session: The cluster.
        make: The class of the workers, of this package.
        arguments: What it is made with.
        count: Number of workers.
        memory: Bytes that each needs.
        noun: What a task is called in messages.
        slots: Tasks that a worker has at a time.
        repeats: Whether a task may be done twice at a time.
    """

    def __init__(
        self, session: Session, make: type[Worker], arguments: tuple[Any, ...], *, count: int, memory: int, noun: str,
        slots: int = 1, repeats: bool = False,
    ) -> None:  # fmt: skip
        self._session, self._ray, self._timeout = session, session.ray, session.cluster.timeout
        self._count, self._slots, self._repeats, self._noun = count, slots, repeats, noun
        cluster = session.cluster
        self._actor = self._ray.remote(
            num_cpus=cluster.cpus, num_gpus=cluster.gpus, memory=memory, scheduling_strategy="SPREAD", max_restarts=0,
            concurrency_groups={"work": slots, "progress": 1},
        )(make)  # fmt: skip
        self._arguments = arguments
        self._members: list[_Member] = []
        self._attempts: dict[Any, _Attempt] = {}
        self._tasks: dict[int, Any] = {}  # the unfinished ones
        self._again: deque[int] = deque()
        self._losses: Counter[int] = Counter()
        self._lost_starts = 0
        self.storage_error: StorageError | None = None
        """Why a worker gets no further tasks; the last reason if there are several."""
        self._durations: list[float] = []
        self._last_progress = self._last_asked = time.monotonic()
        self.repeated: set[int] = set()
        """Tasks that were given to several workers, so that one may have left an unfinished file."""

    def run(self, tasks: Iterator[tuple[int, Any]], on_result: Callable[[int, Any], None]) -> None:
        """Does all tasks. The workers are ended afterwards.

        Args:
            tasks: Number → task; read only as fast as tasks are done.
            on_result: Called with each number and result, once, in the order in which they come.

        Raises:
            SpladeLuceneError: A task failed, or nothing has made progress for the time that the cluster allows.
        """
        try:
            for _ in range(self._count):
                self._add()
            is_more = True
            while is_more or self._tasks:
                is_more = self._assign_new(tasks) if is_more else False
                self._reassign()
                self._collect(on_result)
                self._ask_for_progress()
                self._check_progress()
        finally:
            kill_all(self._ray, [member.actor for member in self._members])

    def _add(self) -> None:
        actor = self._actor.remote(*self._arguments)
        self._members.append(_Member(actor, actor.start.options(concurrency_group="work").remote()))

    def _free(self) -> _Member | None:
        """The worker with the fewest tasks that can take one."""
        able = [
            each for each in self._members if each.is_ready and not each.is_retired and len(each.tasks) < self._slots
        ]
        return min(able, key=lambda each: len(each.tasks), default=None)

    def _assign_new(self, tasks: Iterator[tuple[int, Any]]) -> bool:
        """Gives new tasks to free workers; returns whether there may be more."""
        while not self._again and (member := self._free()) is not None:
            following = next(tasks, None)
            if following is None:
                return False
            key, task = following
            self._tasks[key] = task
            self._assign(member, key)
        return True

    def _reassign(self) -> None:
        """Gives the tasks of lost workers to others, and, when there is nothing else to do, slow ones to a second worker."""
        while self._again and (member := self._free()) is not None:
            key = self._again.popleft()
            if key in self._tasks:
                self._assign(member, key)
        if not self._repeats or not self._durations:
            return
        patience = max(_LEAST_SECONDS, _SLOW * statistics.median(self._durations))
        for attempt in sorted(self._attempts.values(), key=lambda each: each.began):
            idle = next(
                (each for each in self._members if each.is_ready and not each.is_retired and not each.tasks), None
            )
            if idle is None or time.monotonic() - attempt.began < patience:
                return
            if attempt.key in self._tasks and attempt.key not in self.repeated:
                self.repeated.add(attempt.key)
                self._assign(idle, attempt.key)

    def _assign(self, member: _Member, key: int) -> None:
        reference = member.actor.work.options(concurrency_group="work").remote(key, self._tasks[key])
        member.tasks.add(key)
        self._attempts[reference] = _Attempt(member, key, time.monotonic())

    def _collect(self, on_result: Callable[[int, Any], None]) -> None:
        """Waits for the next answers, and handles them."""
        starting = {each.start: each for each in self._members if not each.is_ready}
        waited = [*self._attempts, *starting]
        if not waited:
            return
        done, _ = self._ray.wait(waited, num_returns=1, timeout=_POLL_SECONDS)
        more, _ = self._ray.wait(waited, num_returns=len(waited), timeout=0)
        for reference in dict.fromkeys((*done, *more)):
            if reference in starting:
                self._handle_start(starting[reference])
            elif reference in self._attempts:  # unless its worker is gone
                self._handle_answer(self._attempts.pop(reference), reference, on_result)

    def _handle_start(self, member: _Member) -> None:
        try:
            outcome = self._ray.get(member.start)
        except self._ray.exceptions.RayError as error:
            self._lost_starts += 1
            self._remove(member, error)
            if self._lost_starts >= _TRIES * self._count:
                raise SpladeLuceneError(f"the workers die when they start: {_reason(error)}") from error
            return
        member.host, member.is_ready = self._session.host(result_of(outcome)), True
        self._last_progress = time.monotonic()

    def _handle_answer(self, attempt: _Attempt, reference: Any, on_result: Callable[[int, Any], None]) -> None:
        key, member = attempt.key, attempt.member
        member.tasks.discard(key)
        try:
            succeeded, result = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._handle_loss(member, error, key)
            return
        if succeeded:
            if key in self._tasks:
                del self._tasks[key]
                self._durations.append(time.monotonic() - attempt.began)
                on_result(key, result)
            self._last_progress = time.monotonic()
        elif isinstance(result, StorageError):
            self._retire(member, result, key)
        elif key in self._tasks:
            raise result

    def _handle_loss(self, member: _Member, error: Exception, key: int) -> None:
        """Reassigns the tasks of a worker that was lost, and replaces it."""
        note(f"a worker on {member.host} was lost ({_reason(error)}); other workers take over its {self._noun}s")
        self.repeated |= member.tasks | {key}
        for each in member.tasks | {key}:
            if each not in self._tasks:
                continue
            self._losses[each] += 1
            if self._losses[each] >= _TRIES:
                raise SpladeLuceneError(
                    f"{self._noun} {each} was lost {_TRIES} times with the worker that had it, the last time on {member.host}: "
                    f"{_reason(error)}. If it was out of memory, use fewer workers on a node, or smaller batches."
                ) from error
            self._again.append(each)
        self._remove(member, error)

    def _remove(self, member: _Member, error: Exception) -> None:  # noqa: ARG002 - kept for debuggers
        """Forgets a worker that is gone, and starts another one."""
        for reference in [each for each, attempt in self._attempts.items() if attempt.member is member]:
            del self._attempts[reference]
        if member in self._members:
            self._members.remove(member)
            kill_all(self._ray, [member.actor])
            self._add()

    def _retire(self, member: _Member, error: StorageError, key: int) -> None:
        """Gives no further tasks to a worker that cannot write, and this task to another worker."""
        member.is_retired = True
        self.repeated.add(key)
        if key in self._tasks:
            self._again.append(key)
        self.storage_error = StorageError(f"on {member.host}: {error}")
        note(f"{self.storage_error} No more {self._noun}s are sent to that worker.")
        if all(each.is_retired for each in self._members):
            raise self.storage_error from error

    def _ask_for_progress(self) -> None:
        """Asks the workers from time to time how far they are."""
        if time.monotonic() - self._last_asked < _PROGRESS_SECONDS:
            return
        self._last_asked = time.monotonic()
        asked = [each for each in self._members if each.answer is not None]
        done, _ = (
            self._ray.wait([each.answer for each in asked], num_returns=len(asked), timeout=0) if asked else ([], [])
        )
        for member in asked:
            if member.answer not in done:
                continue
            try:
                progress = self._ray.get(member.answer)
            except self._ray.exceptions.RayError:
                progress = member.progress  # the worker is lost; its tasks report that
            if progress > member.progress:
                member.progress, self._last_progress = progress, time.monotonic()
            member.answer = None
        for member in self._members:
            if member.answer is None and member.is_ready:
                member.answer = member.actor.progress.options(concurrency_group="progress").remote()

    def _check_progress(self) -> None:
        silence = time.monotonic() - self._last_progress
        if silence < self._timeout:
            return
        raise SpladeLuceneError(
            f"no progress on the Ray cluster for {silence:.0f} seconds: {self._state()}. "
            "Run the same command again to resume, with a longer timeout=… if it is only slow."
        )

    def _state(self) -> str:
        """What the workers are doing, in words."""
        waiting = sum(not each.is_ready for each in self._members)
        found = []
        if waiting:
            free = self._ray.available_resources()
            needs = f"{self._session.cluster.cpus:g} CPUs and {self._session.cluster.gpus:g} GPUs"
            found.append(
                f"{counted(waiting, 'worker', 'waits', 'wait')} for a place or {'is' if waiting == 1 else 'are'} starting; "
                f"each needs {needs}, and {free.get('CPU', 0):g} CPUs and {free.get('GPU', 0):g} GPUs are free"
            )
        now = time.monotonic()
        found += [
            f"{each.member.host} has had {self._noun} {each.key} for {now - each.began:.0f} seconds"
            for each in self._attempts.values()
        ]
        if self.storage_error is not None:
            found.append(str(self.storage_error))
        return "; ".join(found) or "no worker has anything to do"


def _reason(error: BaseException) -> str:
    cause = getattr(error, "cause", None)
    return first_line(cause if isinstance(cause, Exception) else Exception(" ".join(str(error).split())[:600]))
