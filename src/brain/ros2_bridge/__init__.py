"""The bridge to ROS: bags, live links, and commands to robots that pass rules, bounds and a deadman."""
