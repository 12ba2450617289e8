"""The hook of generated C is called before each layer and at the end, and does nothing unless it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks import targets
from checks.small_networks import classifier

import exporters.c

MAIN = """#include "net.h"
#include <stdint.h>
#include <stdio.h>

void on_layer(uint32_t layer);
void on_layer(uint32_t layer)
{
    printf("%08lx\\n", (unsigned long)layer);
}

int main(void)
{
    static float input[NET_INPUT_SIZE], output[NET_OUTPUT_SIZE];
    static uint32_t arena[NET_ARENA_BYTES / 4u + 1u];
    return (int)net_run(input, output, arena);
}
"""


@pytest.mark.parametrize("flags", [[], ["-DNET_HOOK=on_layer"]], ids=["unused", "used"])
def test_the_hook_sees_every_layer(flags: list[str], tmp_path: Path) -> None:
    targets.require(targets.GCC)
    files = exporters.c.export(classifier(), prefix="net")
    assert b"#define NET_LAYER_COUNT 4u\n" in files["net.h"]
    result = targets.run(targets.build(targets.GCC, files, MAIN, tmp_path, more=flags))
    assert result.words == ((0, 1, 2, 3, 4) if flags else ())
