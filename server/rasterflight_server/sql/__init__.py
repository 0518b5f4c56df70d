"""Flight SQL: statements over collections, read-only."""
