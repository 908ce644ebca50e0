"""One file a service. Each turns requests into calls of a use case, and its end into a status."""
