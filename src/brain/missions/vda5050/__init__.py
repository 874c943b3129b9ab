"""VDA 5050 3.0.0, the messages between a fleet's control and its robots: made, read, and checked."""
