"""The plug-in for ROS, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="ros2_bridge",
    purpose="Links to ROS by rosbridge or Zenoh: topics, bags, and commands within rules, bounds and a deadman.",
    events="brain.ros2_bridge.events",
    settings="brain.ros2_bridge.settings:Ros2Settings",
    open="brain.ros2_bridge.component:open_component",
    commands={"ros2": Command("brain.ros2_bridge.commands:app", "ROS: bags, graphs; commands, calls, goals.")},
    view=View("ROS", "brain.ros2_bridge:page", section="Operate"),
)
