"""Measurements that assert their answers."""
