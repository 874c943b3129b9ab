"""Cameras: detections, tracks, zones and lines; health of cameras; a person in a zone stops its robot."""
