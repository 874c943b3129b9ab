"""The slam plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="slam",
    purpose="Where robots are: localisation lost and found, zones, versions of maps, trajectories against the truth.",
    events="brain.slam.events",
    settings="brain.slam.settings:SlamSettings",
    open="brain.slam.component:open_component",
    commands={"slam": Command("brain.slam.commands:app", "Where robots are: trajectories; maps and their approval.")},
    provides={
        "MotionInterlock": "brain.slam.interlock:motion_interlock",
        "RobotPoses": "brain.slam.poses:robot_poses",
    },
    view=View("Localisation", "brain.slam:page", section="Operate"),
)
