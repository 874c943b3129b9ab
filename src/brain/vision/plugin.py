"""The vision plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="vision",
    purpose="Cameras: detections, tracks, zones and lines, health of cameras; a person in a zone stops its robot.",
    events="brain.vision.events",
    settings="brain.vision.settings:VisionSettings",
    open="brain.vision.component:open_component",
    commands={"vision": Command("brain.vision.commands:app", "Cameras: set them up, look at videos, approve models.")},
    provides={"MotionInterlock": "brain.vision.interlock:motion_interlock"},
    view=View("Cameras", "brain.vision:page", section="Operate"),
)
