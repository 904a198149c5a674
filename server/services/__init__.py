"""One thin file per gRPC service: it reads the request, calls the record or engine, answers."""
