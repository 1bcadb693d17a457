"""What Home Assistant is told there is: its MQTT discovery, off unless the file says so.

Source: Home Assistant documentation, "MQTT": discovery topic
``homeassistant/<component>/<node>/<object>/config``, binary sensor, switch and button.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from nvr.auth.user import Subject
from nvr.media.gpio import OUTPUT_PREFIX
from nvr.serve.notify.mqtt_state import STATUS, States, may

ROOT = "homeassistant"


def discovery(
    states: States, subject: Subject, prefix: str, endpoint: str, name: str, *, commands: bool
) -> dict[str, bytes]:
    """Return whole topics and what is to be retained there.

    Args:
        states: What there is.
        subject: Who may know it.
        prefix: Of our topics.
        endpoint: UUID of the box.
        name: Of the box, for people.
        commands: Switches and buttons are shown.
    """
    node = endpoint.replace("-", "")
    device = {"identifiers": [endpoint], "name": name, "manufacturer": "nvr", "model": "nvr"}
    found: dict[str, Mapping[str, Any]] = {}

    def add(component: str, what: str, title: str, **more: str) -> None:
        ident = f"{node}_{what}"
        found[f"{ROOT}/{component}/{node}/{what}/config"] = {
            "name": title, "unique_id": ident, "availability_topic": f"{prefix}/{STATUS}",
            "device": device, **more,
        }  # fmt: skip

    for camera in states.cameras(subject):
        topic, title = f"{prefix}/camera/{camera.name}", camera.title or camera.name
        at = {"state_topic": topic}
        add(
            "binary_sensor", f"camera_{camera.name}_live", title, **at,
            device_class="connectivity",
            value_template="{{ 'ON' if value_json.state == 'live' else 'OFF' }}",
        )  # fmt: skip
        add(
            "binary_sensor", f"camera_{camera.name}_motion", f"{title} motion", **at,
            device_class="motion",
            value_template="{{ 'ON' if 'motion' in value_json.happening else 'OFF' }}",
        )  # fmt: skip
        if commands and may(subject, "mqtt stop", camera.name):
            add(
                "button", f"camera_{camera.name}_stop", f"{title} STOP",
                command_topic=f"{topic}/stop/set",
            )  # fmt: skip
    for one in states.inputs(subject):
        add(
            "binary_sensor", f"input_{one.name}", one.title or one.name,
            state_topic=f"{prefix}/input/{one.name}", device_class="safety",
            value_template="{{ 'OFF' if value_json.state == 'normal' else 'ON' }}",
        )  # fmt: skip
    for output in states.outputs(subject):
        topic, title = f"{prefix}/output/{output.name}", output.title or output.name
        switched = commands and may(subject, "mqtt output set", OUTPUT_PREFIX + output.name)
        more = {"command_topic": f"{topic}/set"} if switched else {}
        add(
            "switch" if switched else "binary_sensor", f"output_{output.name}", title,
            state_topic=topic, value_template="{{ value_json.state }}", **more,
        )  # fmt: skip
    return {topic: msgspec.json.encode(value) for topic, value in found.items()}
