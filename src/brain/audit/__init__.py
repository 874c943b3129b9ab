"""The audit log: every event in an RFC 6962 Merkle log, with signed checkpoints, proofs and export.

docs/audit.md describes its use and its guarantees.
"""
