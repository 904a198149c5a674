"""Every failure that the trainer raises on purpose.

    TrainerError
    ├── DataFormatError          a folder or file cannot be read as trades, stop fills or bars
    ├── NotEnoughDataError       too few rows to fit, to choose or to judge a model
    ├── ArtifactReadError        an artifact is not what its manifest says
    ├── ExportMismatchError      the ONNX graph and the fitted model answer differently
    ├── AuthorKeyError           the signing key is missing or not Ed25519
    └── RecordUnavailableError   PostgreSQL cannot be reached or lacks the tables

The command line shows the text; it names the mend where there is one.
"""


class TrainerError(Exception):
    """Base of all failures raised on purpose."""


class DataFormatError(TrainerError):
    """A file lacks a column, or holds a value that no trade, fill or bar can have."""


class NotEnoughDataError(TrainerError):
    """Too few rows for what was asked."""


class ArtifactReadError(TrainerError):
    """An artifact is incomplete, altered, or not of this format."""


class ExportMismatchError(TrainerError):
    """The exported graph does not answer as the fitted model does."""


class AuthorKeyError(TrainerError):
    """The signing key is missing, unreadable, or not an Ed25519 key."""


class RecordUnavailableError(TrainerError):
    """PostgreSQL cannot be reached, or has not been migrated."""
