"""HTTP/JSON beside the control port: the paths and verbs of the system that the record took over.

A request stands for one method of the contract. It is judged by the same `Admission` as a gRPC
call, answered by the same service object, and leaves the same rows; only its form is read here.
"""
