"""The benchmark behind `make bench`: this extension, the specification's SQL and plain pgvector on the same data."""
