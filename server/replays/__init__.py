"""What a journal can be asked: does it come out the same, why that answer, and what if.

Everything here works in an engine of its own and takes no lock: the engine that writes the journal
may go on.
"""
