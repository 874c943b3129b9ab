"""Detections: rules in Sigma's language, correlations and additions of our own, over events and ingested logs."""
