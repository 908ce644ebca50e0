"""The audit trail: append-only, hash-chained, with signed checkpoints. Never pixel data, never names."""
