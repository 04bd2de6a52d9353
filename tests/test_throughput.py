"""The measurement of many nodes, in short."""

import pytest

from benchmarks.throughput import Load, measure
from tests.conftest import Mosquitto


@pytest.mark.parametrize("nodes", [1, 3])
def test_no_reading_of_any_node_is_lost_or_doubled(nodes: int, mosquitto: Mosquitto) -> None:
    result = measure(mosquitto.port, Load(nodes, readings=200))
    assert result.readings == 200 * nodes
    assert (result.lost, result.duplicates) == (0, 0)
    assert 0 < result.latency_p50_ms <= result.latency_p99_ms
