"""A network that reads sequences of any length.

Letters in shapes: B batch, T steps, E input features, F output features.
"""

import torch
from torch import Tensor

from genlab.sequence_contracts import SequenceNetwork, State

_BLOCK = 256
"""Steps read at once."""


class Reader:
    """Reads on from where it stands, in blocks that bound the memory.

    Where a network can read only so many steps from a beginning on (`context`), it is begun anew with the last
    half of them whenever it is full: each step then knows at least that half.
    """

    def __init__(self, network: SequenceNetwork) -> None:
        self.network = network
        self._state: State | None = None
        self._since: Tensor | None = None

    def read(self, x: Tensor) -> Tensor:
        """The features `[B, T, F]` of the next steps `[B, T, E]`."""
        features = []
        while x.shape[1]:
            room = self._room()
            block, x = x[:, :room], x[:, room:]
            out, self._state = self.network(block, self._state)
            features.append(out)
            if self.network.context is not None:
                self._since = block if self._since is None else torch.cat([self._since, block], dim=1)
        return features[0] if len(features) == 1 else torch.cat(features, dim=1)

    def _room(self) -> int:
        """Steps that can be read next, at least 1."""
        context = self.network.context
        if context is None:
            return _BLOCK
        if self._since is not None and self._since.shape[1] == context:
            kept = context // 2
            self._since = self._since[:, context - kept :] if kept else None
            self._state = None if self._since is None else self.network(self._since)[1]
        return min(_BLOCK, context - (0 if self._since is None else self._since.shape[1]))
