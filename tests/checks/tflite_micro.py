"""What TFLite Micro with CMSIS-NN takes on a Cortex-M4 for the int8 MLPerf Tiny networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Of a run on a Cortex-M4: flash above an empty program, RAM, instructions."""

    flash_bytes: int
    ram_bytes: int
    instructions: int


PEER: Mapping[str, Cost] = {
    "ad01": Cost(351_544, 15_956 + 808, 595_923),
    "resnet8": Cost(177_284, 55_092 + 1_316, 29_856_998),
    "str_ww": Cost(158_176, 16_628 + 1_096, 2_227_549),
    "vww96": Cost(395_392, 100_740 + 1_308, 24_101_891),
}
