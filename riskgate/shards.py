"""Which engine decides about an account when a stack has several: crc32c(account_id) mod N."""

import google_crc32c


def find_shard(account_id: str, count: int) -> int:
    """Return the number of the engine that an account belongs to, 0 to count - 1.

    Args:
        account_id: Its checksum is that of the UTF-8 bytes.
        count: Engines of the stack, ≥ 1; their addresses stand in this order.
    """
    checksum: int = google_crc32c.value(account_id.encode())
    return checksum % count
