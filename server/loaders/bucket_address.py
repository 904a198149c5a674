"""Where a bucket of artifacts is, as a URL says it."""

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


class BucketAddress(NamedTuple):
    """Where artifacts are.

    Attributes:
        bucket: Its name.
        prefix: In front of each key, with a slash at its end; may be empty.
        endpoint: URL of the service; None: that of AWS.
        region: Of the bucket; None: as boto3 finds it.
    """

    bucket: str
    prefix: str
    endpoint: str | None
    region: str | None

    @classmethod
    def parse(cls, url: str) -> "BucketAddress":
        """Read `s3://BUCKET[/PREFIX][?endpoint=https://HOST:PORT][&region=REGION]`.

        Raises:
            ValueError: It is none, or holds credentials.
        """
        parts = urlsplit(url)
        prefix = parts.path.strip("/")
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        endpoint, region = options.pop("endpoint", None), options.pop("region", None)
        if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or parts.fragment:
            raise ValueError("must be s3://BUCKET[/PREFIX][?endpoint=URL&region=REGION]")
        if options or (prefix and not _PREFIX.fullmatch(prefix)):
            raise ValueError(
                "has an unknown option or a prefix of other than letters, digits, ._-/"
            )
        if endpoint is not None and (
            urlsplit(endpoint).scheme not in {"http", "https"} or "@" in endpoint
        ):
            raise ValueError("endpoint must be http:// or https:// without credentials")
        return cls(parts.netloc, f"{prefix}/" if prefix else "", endpoint, region)


def check_store_url(url: str) -> str:
    """Return the URL of an artifact store as it is.

    Raises:
        ValueError: It is none, or holds credentials.
    """
    BucketAddress.parse(url)
    return url
