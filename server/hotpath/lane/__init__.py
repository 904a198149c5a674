"""The decision port: HTTP/2 connections, calls and their answers, in compiled code."""
