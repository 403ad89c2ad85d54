"""Calls on the workers of a ``dask.distributed`` client that outlive their workers.

The scheduler places, moves and repeats the calls; what is here is what it does not do: it asks again for calls whose
data went down with a worker, gives a call a second chance when workers died under it, and turns every way in which a
cluster can stop answering into an error that says what to do.
"""

from __future__ import annotations

import logging
import queue
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from typing import Any

from .._optional import require
from ..exceptions import ClusterError

log = logging.getLogger("neurodecode")
POLL = 1.0  # seconds between two looks at a cluster that says nothing
PATIENCE = 120.0  # seconds without any worker
FETCHING = 60.0  # seconds for one answer to come here, before it is waited for with the others again
SECOND_CHANCES = 1  # after the scheduler gave up on a call, as often as its allowed-failures (3) says
FAILURES = 3  # different calls that may raise before the others are not waited for
RESENDS = 10  # times in a row that data were lost and sent again while no call finished


class Remote:
    """Calls of one function on one package of data, on workers that may die.

    Parameters
    ----------
    client : a synchronous ``dask.distributed.Client``.
    stored : what comes back is kept on disk, so that a call that raises does not stop the others.

    Raises
    ------
    TypeError : no client, or an asynchronous one.
    """

    def __init__(self, client: Any, *, stored: bool = False):
        if not all(hasattr(client, name) for name in ("scatter", "submit", "scheduler_info")):
            raise TypeError(f"client is a {type(client).__name__}; expected a dask.distributed.Client")
        if getattr(client, "asynchronous", False):
            raise TypeError("client is asynchronous; make it with Client(address) instead of Client(asynchronous=True)")
        self.distributed = require("distributed", extra="distributed", purpose="running on a client")
        self.client = client
        self.stored = stored
        self.done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.open: dict[str, tuple[int, int, Any]] = {}  # key -> place, generation of the data, future
        self.again: list[int] = []
        self.failed: dict[int, BaseException] = {}
        self.killed: dict[int, int] = {}
        self.generation = self.resends = 0
        self.stale = False

    def results(
        self, function: Callable[[Any, int], Any], package: Any, words: list[str]
    ) -> Generator[tuple[int, Any]]:
        """``(place, function(package, place))`` for every place, in the order in which they finish, each once.

        ``words[place]`` says in a message what a call was about. Leaving early gives the calls up.
        """
        self.function, self.package, self.words = function, package, words
        try:
            self._ship()
            self._submit(list(range(len(words))))
            while self.open or self.again:
                if self.again and self.done.empty():
                    self._resend()
                entry = self._next()
                if entry is None:
                    continue
                yield from self._take(*entry)
                if len(self.failed) >= (FAILURES if self.stored else 1) or self._fatal():
                    yield from self._finished()
                    break
            if self.failed:
                raise self._error()
        finally:
            self._give_up()

    def _ship(self) -> None:
        """The package on every worker; a worker that comes later fetches it from another."""
        for attempt in range(3):
            self._wait_for_workers()
            try:
                # In a list of its own: a tuple or dict would be sent in parts.
                (self.sent,) = self.client.scatter([self.package], broadcast=True, hash=False)
                self.generation += 1
                self.stale = False
                return
            except (OSError, TimeoutError, KeyError, RuntimeError) as error:
                log.info("the data could not be sent (%s: %s); once more", type(error).__name__, error)
                if attempt == 2:
                    raise self._lost(f"the data could not be sent to the workers ({error})") from error
            except Exception as error:
                hint = "; client.upload_file sends them a module of yours" if "No module" in str(error) else ""
                raise self._lost(f"the data could not be read by the workers ({error}){hint}") from error

    def _submit(self, places: list[int]) -> None:
        for place in places:
            key = f"neurodecode-{place}-{uuid.uuid4().hex}"
            try:
                future = self.client.submit(self.function, self.sent, place, key=key, pure=False)
            except Exception as error:
                if self.client.status == "running":
                    raise
                raise self._lost("the scheduler does not answer") from error
            self._watch(place, self.generation, future)

    def _watch(self, place: int, generation: int, future: Any) -> None:
        self.open[future.key] = (place, generation, future)
        future.add_done_callback(self.done.put)

    def _next(self) -> tuple[int, int, Any] | None:
        """The next call that ended; None for one that was dealt with before."""
        while True:
            try:
                return self.open.pop(self.done.get(timeout=POLL).key, None)
            except queue.Empty:
                self._wait_for_workers()

    def _take(self, place: int, generation: int, future: Any) -> Iterator[tuple[int, Any]]:
        from concurrent.futures import CancelledError

        status = future.status
        if status == "finished":
            try:
                outcome = future.result(timeout=FETCHING)
            except (TimeoutError, OSError, CancelledError) as error:
                # It went down with its worker after it was finished: the scheduler does it again by itself.
                log.info("%s is lost (%s) and done again", self.words[place], type(error).__name__)
                self._wait_for_workers()
                status = future.status
            else:
                self.resends = 0
                yield place, outcome
                return
        if status in ("pending", "finished"):
            self._watch(place, generation, future)
        elif status == "error":
            self._erred(place, future)
        else:
            self.again.append(place)
            self.stale = self.stale or generation == self.generation

    def _erred(self, place: int, future: Any) -> None:
        error = future.exception()
        if not isinstance(error, self.distributed.KilledWorker):
            self.failed[place] = error
            return
        self.killed[place] = self.killed.get(place, 0) + 1
        if self.killed[place] <= SECOND_CHANCES:
            log.warning("workers died while they did %s; it gets a second chance", self.words[place])
            self.again.append(place)
            return
        told = ClusterError(
            f"workers died again and again while they did {self.words[place]}; {error.last_worker.address} was the "
            "last. Most often they had too little memory: give them more, or make pieces smaller with target_block=."
        )
        told.__cause__ = error
        self.failed[place] = told

    def _fatal(self) -> list[int]:
        """Calls whose error would be that of every other: the workers are not what they have to be."""
        return [
            place
            for place, error in self.failed.items()
            if isinstance(error, ClusterError) and place not in self.killed
        ]

    def _resend(self) -> None:
        """Ask again for what was lost, with the data if they were lost too."""
        self.resends += 1
        if self.resends > RESENDS:
            raise self._lost(f"the data were lost with their workers {RESENDS} times in a row")
        if self.stale:
            log.warning("data were lost with their workers; they are sent again for %d pieces", len(self.again))
            self._ship()
        places, self.again = self.again, []
        self._submit(places)

    def _wait_for_workers(self) -> None:
        """Come back once there is a worker; raise when there is none for long, or no scheduler."""
        start = said = time.monotonic()
        while True:
            if self.client.status not in ("running", "connecting"):
                raise self._lost("the connection to the scheduler is lost")
            try:
                if self.client.status == "running" and self._running():
                    return
            except Exception as error:
                log.info("the scheduler does not answer (%s: %s)", type(error).__name__, error)
            now = time.monotonic()
            if now - start > PATIENCE:
                raise self._lost(
                    f"no worker came within {PATIENCE:.0f} s, or all are paused because their memory is full. Start "
                    "some (cluster.scale(4)); where a queue keeps you waiting, wait for the first one before this "
                    "call: client.wait_for_workers(1)"
                )
            if now - said > 30:
                said = now
                log.warning("waiting for a worker, %.0f s", now - start)
            time.sleep(min(POLL, PATIENCE / 4))

    def _running(self) -> bool:
        """Whether there is a worker that takes calls: one that ran out of memory is paused and takes none."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
        return any(worker.get("status", "running") == "running" for worker in workers)

    def _lost(self, what: str) -> ClusterError:
        kept = (
            "What is finished is in the store: the same call with a client that works goes on from there."
            if self.stored
            else "Nothing of it is kept; with store= the same call would go on where this one stopped."
        )
        return ClusterError(f"{what[0].lower() + what[1:]}. {kept}")

    def _finished(self) -> Iterator[tuple[int, Any]]:
        """What ended well by now, before the rest is given up."""
        for key, (place, generation, future) in list(self.open.items()):
            if future.status == "finished":
                del self.open[key]
                yield from self._take(place, generation, future)

    def _error(self) -> BaseException:
        """The error of the first call that raised, with notes on which it was and what became of the others."""
        first = min(self._fatal() or self.failed)
        error = self.failed[first]
        others = [self.words[place] for place in sorted(self.failed) if place != first]
        error.add_note(f"This happened on a worker in {self.words[first]}.")
        if others:
            error.add_note(f"So did errors in {'; '.join(others)}.")
        if self.stored:
            error.add_note("What the others found is in the store: the same call goes on from there.")
        return error

    def _give_up(self) -> None:
        left = [future for _, _, future in self.open.values()]
        self.open.clear()
        if left and self.client.status == "running":
            try:
                self.client.cancel(left)
            except Exception as error:
                log.info("open calls could not be taken back (%s)", error)
        self.sent = None
