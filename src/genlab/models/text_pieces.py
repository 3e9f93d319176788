"""The text of tokens while they are made."""

from genlab.sequence_contracts import TextCodec


class Pieces:
    """Text of tokens that come one at a time: a piece for each, empty while a character is not whole.

    All pieces together are the text of all tokens, whatever a token's neighbours do to its text.
    """

    def __init__(self, codec: TextCodec) -> None:
        self._codec = codec
        self._context: list[int] = []
        self._waiting: list[int] = []

    def add(self, token: int) -> str:
        """The text that this token completes."""
        self._waiting.append(token)
        text = self._text()
        if text.endswith("\ufffd"):  # the first bytes of a character
            return ""
        self._context, self._waiting = self._waiting, []
        return text

    def rest(self) -> str:
        """What still waits at the end."""
        return self._text() if self._waiting else ""

    def _text(self) -> str:
        known = self._codec.decode(self._context)
        return self._codec.decode(self._context + self._waiting)[len(known) :]
