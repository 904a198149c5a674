"""The journal as files: who reads it, recovers it, keeps it going and deletes what is over.

The bytes are described in server/hotpath/journal/entries.py, written by compiled code beside it.
Nothing here imports numba, so that commands which only read start quickly.
"""
