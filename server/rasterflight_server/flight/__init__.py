"""The service as Arrow Flight shows it."""
