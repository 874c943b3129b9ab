"""For modules made for the first version, during one release."""
