"""The map of controls: which rule asks for it, what does it here, which tests show it."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from riskgate.v1 import types_pb2

MAP_FILE: Final = Path(__file__).with_name("controls.yaml")

_Text = Annotated[str, Field(min_length=1)]
# `tests/folder/test_file.py::test_name`, without parameters: all cases of it count.
_TestId = Annotated[str, Field(pattern=r"^tests/[\w/]+\.py::test_\w+$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Part):
    """A text that asks for controls.

    Attributes:
        name: As the page cites it.
        asks: What it asks for, in our words.
    """

    name: _Text
    asks: _Text


class Control(_Part):
    """One control.

    Attributes:
        id: Short and lasting.
        title: What it is.
        sources: Keys of the sources that ask for it.
        how: What does it here.
        reasons: Reasons by which an answer says that it acted, without their prefix.
        calls: Methods of the ports, `Service/Method`.
        commands: Commands of `riskgate`.
        files: Where it is, from the root of the project.
        tests: Which tests show it; each must have run and passed.
        campaigns: Long proofs besides those; they do not make a control shown.
        limits: What it does not do.
    """

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]+$")]
    title: _Text
    sources: Annotated[tuple[_Text, ...], Field(min_length=1)]
    how: _Text
    reasons: tuple[_Text, ...] = ()
    calls: tuple[_Text, ...] = ()
    commands: tuple[_Text, ...] = ()
    files: tuple[_Text, ...] = ()
    tests: tuple[_TestId, ...] = ()
    campaigns: tuple[_TestId, ...] = ()
    limits: str = ""


class ControlMap(_Part):
    """All of it.

    Attributes:
        sources: By key.
        controls: In the order of the page.
        operational: Reasons that no rule asks for, and what they are about.
    """

    sources: dict[str, Source]
    controls: tuple[Control, ...]
    operational: dict[str, _Text]

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        ids = [control.id for control in self.controls]
        twice = {each for each in ids if ids.count(each) > 1}
        foreign = {key for each in self.controls for key in each.sources} - set(self.sources)
        reasons = {name.removeprefix("REASON_") for name, _ in types_pb2.Reason.items()}
        named = {name for each in self.controls for name in each.reasons} | set(self.operational)
        for what, names in (
            ("ids are there twice", twice),
            ("sources are not listed", foreign),
            ("reasons do not exist", named - reasons),
        ):
            if names:
                raise ValueError(f"{what}: {', '.join(sorted(names))}")
        return self

    def list_tests(self) -> Iterator[str]:
        """Yield every test that is named, campaigns too; some more than once."""
        for control in self.controls:
            yield from (*control.tests, *control.campaigns)


def load_map(path: Path = MAP_FILE) -> tuple[ControlMap, str]:
    """Return the map and the SHA-256 of its file.

    Raises:
        ValueError: It is no such map; the text says where.
    """
    raw = path.read_bytes()
    return ControlMap.model_validate(yaml.safe_load(raw)), sha256(raw).hexdigest()
