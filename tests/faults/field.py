"""Where the runs take place, and the runs that nothing interrupts."""

import collections
import itertools
import pathlib
import shutil
import threading
from collections.abc import Callable
from typing import Any

from tests.faults import jobs
from tests.faults.jobs import FaultError, Job, Process


class Field:
    """Their data and their folders, and what several of them are compared with."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self._numbers, self._done = itertools.count(), {}
        self._locks = collections.defaultdict(threading.Lock)
        jobs.write_data(folder / "data")

    def job(
        self, net: str, strategy: str, *options: str, folder: pathlib.Path | None = None
    ) -> Job:
        place = (folder or self.folder) / f"{next(self._numbers)}"
        return jobs.new_job(net, strategy, place, self.folder / "data", *options)

    def once(self, key: tuple, make: Callable[[], Any]) -> Any:
        """What is made the first time, for all rows that ask for it."""
        with self._locks[key]:
            if key not in self._done:
                self._done[key] = make()
        return self._done[key]

    def whole(self, net: str, strategy: str) -> jobs.Result:
        """What the run leaves that nothing interrupts."""
        return self._uninterrupted(net, strategy)[0]

    def seconds(self, net: str, strategy: str) -> float:
        """How long it took."""
        return self._uninterrupted(net, strategy)[1]

    def _uninterrupted(self, net: str, strategy: str) -> tuple[jobs.Result, float]:
        def make() -> tuple[jobs.Result, float]:
            job = self.job(net, strategy)
            first = jobs.finish(job)[0]
            return jobs.result(job), first.ended - first.began

        return self.once((net, strategy), make)

    def same_end(self, job: Job) -> list[Process]:
        """The same command again, to the numbers of the run without a fault."""
        processes = jobs.finish(job)
        other = jobs.differences(jobs.result(job), self.whole(job.net, job.strategy))
        if other:
            raise FaultError(f"other than in the uninterrupted run: {', '.join(other)}")
        shutil.rmtree(job.workdir)
        return processes
