"""What the functions of the wire return besides the length of an answer."""

from __future__ import annotations

from typing import Final

REFUSED: Final = -1  # the reason is in the WIRE record
BARRED: Final = -3  # denied because nothing can be journaled: nothing has changed
WAIT: Final = -2  # the state is not new enough yet; nothing has changed, ask again later
LIVE: Final = -1  # in place of a clock reading: read the clock
RECORDED: Final = -2  # in place of a clock reading: take the one that was noted then
