"""Codecs out of the plain data that a run keeps of them."""

from typing import Any

from genlab.codecs.byte_pairs import BPECodec
from genlab.codecs.characters import ByteCodec, CharCodec
from genlab.codecs.scale import Scale
from genlab.errors import UserError
from genlab.sequence_contracts import Codec
from genlab.suggestions import did_you_mean

KINDS: dict[str, Any] = {cls.kind: cls for cls in (CharCodec, ByteCodec, BPECodec, Scale)}


def restore(state: Any) -> Codec | None:
    """The codec whose `state()` this is; None of None.

    Raises:
        UserError: it is of no kind that is known, or damaged.
    """
    if state is None:
        return None
    kind = state.get("kind") if isinstance(state, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(
            f"the run's codec is of kind {kind!r}, which is not known{did_you_mean(str(kind), KINDS)}"
        )
    try:
        restored: Codec = KINDS[kind].from_state(state)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"the run's codec of kind {kind} is damaged ({error}); it was not loaded") from error
    return restored


def state_of(codec: Codec | None) -> dict[str, Any] | None:
    """What is kept of a codec; None where there is none."""
    return None if codec is None else codec.state()
