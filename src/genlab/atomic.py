"""Files that are there whole or not at all."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_whole(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes beside the target, flushes to the disk, then renames.

    A kill or a full disk leaves the old file or the new one, and nothing beside it that a later write of
    the same process would not sweep away.

    Args:
        path: the target; missing folders are made.
        write: called with the open binary file.

    Raises:
        OSError: the file cannot be written; an older one is untouched.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
