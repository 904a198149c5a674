"""Messages of the control services to entities and back, one file per aggregate.

Every number is checked for presence, range and finiteness here, and a refusal names its field by
its path in the request. Percents exist on the message side only.
"""
