"""From plans to Arrow record batches."""
