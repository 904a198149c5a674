"""The trial run of a model without a network: `python -m server.loaders.isolated_canary`.

A namespace can be left only before a library starts threads, so nothing is loaded before that.
"""

from server.loaders.isolation import leave_network


def main() -> None:
    """Leave the network, then do the trial run; see `canary.py`."""
    in_force = leave_network()
    from server.loaders import canary  # noqa: PLC0415

    canary.main(in_force)


if __name__ == "__main__":
    main()
