"""Hardware: the state of hosts and devices, who drives a robot, what it is sent, and its emergency stop."""
