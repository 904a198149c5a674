"""Protobuf messages of the decision port to engine records and back, in compiled code."""
