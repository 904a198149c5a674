"""The recorder: journal entries become rows of the record, each exactly once.

It needs the journal and PostgreSQL and nothing else; it may stop and go on at any time, because
rows and the number of the last entry are committed together.
"""
