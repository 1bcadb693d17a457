"""Outputs, inputs and the watchdog for ``/metrics``."""

from collections.abc import Callable

from nvr.media.gpio import OUTPUT_PREFIX, Lines
from nvr.wire.openmetrics import Family

_STATES = ("normal", "alarm", "tamper", "short", "open")


def families(lines: Lines, may: Callable[[str], bool]) -> list[Family]:
    """Return what is counted of those lines that `may` lets be seen."""
    on = Family("nvr_output_on", "gauge", "It is on: 1, else 0.")
    online = Family("nvr_output_answers", "gauge", "It could be driven the last time: 1, else 0.")
    for output in lines.outputs():
        if may(OUTPUT_PREFIX + output.name):
            on.add(int(output.on), output=output.name, kind=output.kind)
            online.add(int(output.online), output=output.name, kind=output.kind)
    state = Family("nvr_input_state", "gauge", "1 for the state that the input is in.")
    storm = Family("nvr_input_storm", "gauge", "It chatters and is not believed: 1, else 0.")
    edges = Family("nvr_input_edges", "counter", "Edges seen, chatter among them.")
    changes = Family("nvr_input_changes", "counter", "Changes that were believed.")
    storms = Family("nvr_input_storms", "counter", "How often it chattered.")
    for one in lines.inputs():
        if not may(OUTPUT_PREFIX + one.name):
            continue
        for name in _STATES:
            state.add(int(one.state == name), input=one.name, state=name)
        storm.add(int(one.storm), input=one.name)
        edges.add(one.edges, input=one.name)
        changes.add(one.changes, input=one.name)
        storms.add(one.storms, input=one.name)
    return [on, online, state, storm, edges, changes, storms]
