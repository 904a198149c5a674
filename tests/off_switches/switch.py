"""What an off-switch is."""

from typing import Final, NamedTuple

NEVER: Final = "if False:"


class Switch(NamedTuple):
    """One control, how it is switched off, and the test that must turn red then.

    Attributes:
        name: Of the control.
        threat: Row of the threat table that it stands against, T1 to T19.
        file: Path from the root of the project.
        text: Occurs exactly once in the file.
        test: Node id of pytest; also a test without its parameters, all of which are run then.
        replacement: What stands in the place of the text when the control is off.
        said: How the test fails where that is not an assertion; empty: it is one.
    """

    name: str
    threat: str
    file: str
    text: str
    test: str
    replacement: str = NEVER
    said: str = ""
