"""Runs searches on a bounded number of threads, and stops those of clients that have disconnected."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, Literal, Protocol, TypeVar

from splade_lucene.search.cancellation import Cancellation
from splade_lucene.server.problems import busy, timed_out
from splade_lucene.server.registry import OpenIndex
from splade_lucene.server.settings import Limits

T = TypeVar("T")
_ENCODED_TOGETHER = 64
_CHANGERS = 4
_PATIENCE = 0.02  # seconds after which it is worth asking whether the client is still there
_POLL = 0.25


class Client(Protocol):
    """A client that waits for an answer, such as a request of Starlette."""

    async def is_disconnected(self) -> bool:
        """Whether the client has gone."""
        ...


class PatientClient:
    """A client that never disconnects; the task that waits for its answer is cancelled instead."""

    async def is_disconnected(self) -> bool:
        """False."""
        return False


class ClientGoneError(Exception):
    """Nobody waits for the answer."""


Reason = Literal["client-gone", "timed-out"]
"""Why a call was cancelled."""


class Job(Generic[T]):
    """A call on a search thread.

    Args:
        function: The function.
        arguments: Its arguments.
        answer: Gets what it returns or raises.
    """

    __slots__ = ("_arguments", "_cancellation", "_function", "answer")

    def __init__(self, function: Callable[..., T], arguments: tuple[Any, ...], answer: asyncio.Future[T]) -> None:
        self._function, self._arguments, self.answer = function, arguments, answer
        self._cancellation = Cancellation()

    def cancel(self) -> bool:
        """Prevents the call, or stops its search; returns whether the call had not ended."""
        if not self.answer.cancel():
            return False
        self._cancellation.cancel()
        return True

    def run(self) -> T:
        """Makes the call."""
        with self._cancellation:
            return self._function(*self._arguments)


class Threads:
    """Threads that take the next call as long as there is one: waking a thread for each call takes as long as a search.

    Args:
        count: How many.
        name: What their names begin with.
    """

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._count, self._awake = count, 0
        self._jobs: deque[Job[Any]] = deque()
        self._lock = threading.Lock()

    @property
    def at_work(self) -> int:
        """Number of busy threads."""
        return self._awake

    def submit(self, function: Callable[..., T], *arguments: Any) -> Job[T]:
        """Queues a call."""
        loop = asyncio.get_running_loop()
        job: Job[T] = Job(function, arguments, loop.create_future())
        with self._lock:
            self._jobs.append(job)
            wakes = self._awake < self._count
            self._awake += wakes
        if wakes:
            self._pool.submit(self._work, loop)
        return job

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            with self._lock:
                job = self._jobs.popleft() if self._jobs else None
                self._awake -= job is None
            if job is None:
                return
            if job.answer.cancelled():
                continue
            value = failure = None
            try:
                value = job.run()
            except BaseException as error:  # whatever it is: somebody is waiting for the result
                failure = error
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(_set_answer, job.answer, value, failure)

    def close(self) -> None:
        """Ends the threads when they have done what they have begun; what waits is dropped."""
        with self._lock:
            self._jobs.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _set_answer(answer: asyncio.Future[Any], value: Any, failure: BaseException | None) -> None:
    if answer.done():
        return
    if failure is None:
        answer.set_result(value)
    else:
        answer.set_exception(failure)


class Work:
    """The threads of a server.

    Args:
        limits: How many there are, how many requests wait for one, and how long.

    Attributes:
        cancelled: How many calls were stopped or dropped.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._threads = Threads(limits.concurrent, "search")
        self._changers = Threads(_CHANGERS, "change")
        self._own = ThreadPoolExecutor(2, thread_name_prefix="own")
        self._unfinished = self._changing = 0
        self.cancelled: Counter[Reason] = Counter()

    @property
    def at_work(self) -> int:
        """Number of busy search threads."""
        return self._threads.at_work

    @property
    def unfinished(self) -> int:
        """Number of requests that are searched for or wait."""
        return self._unfinished

    async def run(self, client: Client, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function on a search thread.

        Args:
            client: The client that waits. If it goes, there is no call, or the call stops searching.
            function: The function.
            arguments: Its arguments.

        Raises:
            ApiError: Too many requests wait, or the call took too long.
            ClientGoneError: The client has gone.
        """
        if self._unfinished >= self.limits.concurrent + self.limits.waiting:
            raise busy(f"{self._unfinished} requests are running or waiting")
        self._unfinished += 1
        try:
            return await self._finish(client, self._threads.submit(function, *arguments))
        finally:
            self._unfinished -= 1

    async def change(self, client: Client, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function that changes or measures an index, on another thread: it may take long, and searches continue.

        Args:
            client: The client that waits. If it disconnects before the call, the call is dropped; during the call, the function
                decides whether to continue: see :func:`splade_lucene.search.cancellation.check_cancelled`.
            function: The function.
            arguments: Its arguments.

        Raises:
            ApiError: Too many requests wait.
            ClientGoneError: The client has gone.
        """
        if self._changing >= _CHANGERS + self.limits.waiting:
            raise busy(f"{self._changing} requests that change or measure an index are running or waiting")
        self._changing += 1
        try:
            return await self._finish(client, self._changers.submit(function, *arguments), math.inf)
        finally:
            self._changing -= 1

    async def run_internal(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function of the server's own, for which no client waits."""
        return await asyncio.get_running_loop().run_in_executor(self._own, function, *arguments)

    async def stream(self, client: Client, items: Iterator[T]) -> AsyncIterator[T]:
        """Takes items from an iterator on a search thread, one after the other, until the client goes.

        None is refused because others wait: the answer has begun.
        """
        end = object()
        while (item := await self._finish(client, self._threads.submit(next, items, end))) is not end:
            yield item

    async def _finish(self, client: Client, job: Job[T], seconds: float | None = None) -> T:
        return await self.wait(client, job.answer, job.cancel, seconds)

    async def wait(
        self, client: Client, answer: asyncio.Future[T], cancel: Callable[[], bool], seconds: float | None = None
    ) -> T:
        """Waits for an answer as long as its client does.

        Args:
            client: The client that waits.
            answer: The answer.
            cancel: Called when nobody waits any more; returns whether the answer had not come.
            seconds: How long; None for the time of a request.

        Raises:
            ApiError: It took too long.
            ClientGoneError: The client has gone.
        """
        reason: Reason = "client-gone"  # streams are cancelled when their client disconnects
        seconds = self.limits.seconds if seconds is None else seconds
        try:
            done, _ = await asyncio.wait((answer,), timeout=_PATIENCE)
            loop = asyncio.get_running_loop()
            deadline = loop.time() + seconds - _PATIENCE
            while not done:
                if await client.is_disconnected():
                    raise ClientGoneError
                if loop.time() > deadline:
                    reason = "timed-out"
                    raise timed_out(seconds)
                done, _ = await asyncio.wait((answer,), timeout=_POLL)
            return answer.result()
        finally:
            if cancel():
                self.cancelled[reason] += 1

    def close(self) -> None:
        """Ends the threads when they have done what they have begun."""
        self._threads.close()
        self._changers.close()
        self._own.shutdown(wait=False, cancel_futures=True)


class EncodeBatcher:
    """Encodes texts of concurrent requests together: while one batch is encoded, the next ones are collected.

    Args:
        index: The index whose model encodes them.
        work: Waits for them, and has the limits.
    """

    def __init__(self, index: OpenIndex, work: Work) -> None:
        self._index, self._work = index, work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._waiting: list[tuple[str, asyncio.Future[dict[str, int]]]] = []
        self._is_running = False
        self.batches = self.texts = 0

    async def encode(self, client: Client, text: str) -> dict[str, int]:
        """The {term: impact} form of a text.

        Args:
            client: The client that waits. If it goes, a text that waits is not encoded.
            text: The text.

        Raises:
            ApiError: Too many texts wait, or it took too long.
            ClientGoneError: The client has gone.
        """
        if len(self._waiting) >= _ENCODED_TOGETHER + self._work.limits.waiting:
            raise busy(f"{len(self._waiting)} texts are waiting to be encoded")
        answer: asyncio.Future[dict[str, int]] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, answer))
        if not self._is_running:
            self._is_running = True
            self._task = asyncio.ensure_future(self._encode_all())
        return await self._work.wait(client, answer, answer.cancel)

    async def _encode_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_ENCODED_TOGETHER], self._waiting[_ENCODED_TOGETHER:]
                batch = [(text, answer) for text, answer in batch if not answer.done()]
                if batch:
                    await self._encode_batch(batch)
        finally:
            self._is_running = False

    async def _encode_batch(self, batch: list[tuple[str, asyncio.Future[dict[str, int]]]]) -> None:
        loop = asyncio.get_running_loop()
        self.batches, self.texts = self.batches + 1, self.texts + len(batch)
        try:
            texts = [text for text, _ in batch]
            vectors = await loop.run_in_executor(self._thread, self._index.searcher.encode_batch, texts)
        except Exception as error:
            for each in batch:  # one bad text must not fail those of others
                if len(batch) > 1:
                    await self._encode_batch([each])
                elif not each[1].done():
                    each[1].set_exception(error)
            return
        for (_, answer), vector in zip(batch, vectors, strict=True):
            if not answer.done():
                answer.set_result(vector)

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)
