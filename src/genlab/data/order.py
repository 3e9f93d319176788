"""In which order a loader delivers its rows, and how far it has come.

Letters: n rows of the data, B rows a batch, W processes (ranks).
"""

from collections.abc import Iterator

import numpy as np

Rows = np.ndarray
"""`[n]` or `[B]` int64 indices into the data."""


class BatchOrder:
    """The batches of an epoch: a permutation drawn from (seed, epoch), dealt out to the ranks like cards.

    The global random streams are never touched. All ranks get equally many batches, since one that runs ahead
    would wait forever for the others; so without `drop_last` a rank's last batch is cut in two where another
    rank has one more. The i-th batches of all ranks together are the i-th batch of one process with
    W times the batch size.

    To torch and Lightning it is a batch sampler, and it has a memory: after `load_state_dict` the next
    iteration of that same epoch goes on behind the `done` batches. Whoever delivers a batch counts it, since
    workers draw ahead.

    Attributes:
        epoch: the epoch whose order is given out next.
        done: batches of that epoch which have been delivered on this rank.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        batch_size: int,
        seed: int | None = None,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Sets up epoch 0.

        Args:
            rows: `[n]` the rows to deliver, each once an epoch.
            batch_size: B, at least 1.
            seed: of the shuffling; None keeps the order of `rows`.
            drop_last: leave out what does not fill a batch on every rank; other rows each epoch.
            rank: this process.
            world_size: W.

        Raises:
            ValueError: `batch_size` is below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.rows, self.batch_size, self.seed, self.drop_last = rows, batch_size, seed, drop_last
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.done = 0
        self._resumed = False

    @property
    def sampler(self) -> "BatchOrder":
        """Itself: Lightning calls `loader.batch_sampler.sampler.set_epoch(epoch)` before each epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        if epoch != self.epoch:
            self.epoch, self.done = epoch, 0

    def __len__(self) -> int:
        """Batches of a whole epoch, the same on every rank."""
        full, rest = divmod(len(self.rows), self.batch_size * self.world_size)
        return full if self.drop_last or rest == 0 else full + 1

    def __iter__(self) -> Iterator[Rows]:
        """Yields the rows `[<= B]` of each batch that is still to come."""
        count = len(self)
        self.done = self.done if self._resumed and self.done < count else 0
        self._resumed = False
        share = self._share()
        bounds = [self._begin(batch, len(share)) for batch in range(count + 1)]
        for batch in range(self.done, count):
            yield share[bounds[batch] : bounds[batch + 1]]

    def _share(self) -> Rows:
        """This rank's rows in this epoch's order."""
        order = (
            self.rows if self.seed is None else self._shuffled(np.random.default_rng([self.seed, self.epoch]))
        )
        share = order[self.rank :: self.world_size]
        if len(share) < len(self):  # fewer rows than batches (B = 1, or n < W): one row is seen twice
            share = np.concatenate([share, order[:1]])
        return np.ascontiguousarray(share)

    def _shuffled(self, stream: np.random.Generator) -> Rows:
        """The rows in an order drawn from a random stream."""
        return stream.permutation(self.rows)

    def _begin(self, batch: int, num_rows: int) -> int:
        """Where a batch begins in the share, so that every batch from there on keeps at least one row."""
        return min(batch * self.batch_size, num_rows - (len(self) - batch))

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "done": self.done, "rows_a_batch": self.batch_size * self.world_size}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes on where the state was taken, on another number of ranks at the batch that begins at or before it."""
        rows_a_batch = self.batch_size * self.world_size
        self.done = state["done"] * state.get("rows_a_batch", rows_a_batch) // rows_a_batch
        self.epoch, self._resumed = state["epoch"], True
