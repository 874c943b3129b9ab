"""The audit log: every event in a Merkle log that proves itself."""
