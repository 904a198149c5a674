"""The control services: one thin file per gRPC service, which reads the request, calls the record, writes the answer."""
