"""The audit log: every event in an RFC 6962 Merkle log, with signed checkpoints, proofs and export.

docs/audit.md says how to use it and what it promises.
"""
