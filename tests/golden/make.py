"""Write golden containers, which the tests read for ever: `python tests/golden/make.py`, from the project's root.

Append only: a file that exists is never written again, since it stands for all files that users have. A new kind of
content or a new version of the format gets a new name. Beside each container stand the text of its header and the
arrays it decodes to, as bits.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def main() -> None:
    """Write what is missing."""
    sys.path.insert(0, str(HERE.parent))
    from checks import networks

    from refcompress import encodings
    from refcompress.formats import rcz
    from refcompress.formats.rcz.header import header_text

    write_integer_network()

    makers = {
        "v1_chain": lambda: networks.chain_network(1),
        "v1_branched": lambda: networks.branched_network(2),
        "v1_nested": lambda: networks.nested_network(3),
    }
    for name, maker in makers.items():
        path = HERE / f"{name}.rcz"
        if path.exists():
            continue
        graph = maker()
        rcz.save(graph, path)
        sizes = {key: len(encodings.pack(encoding)) for key, encoding in graph.params.items()}
        path.with_suffix(".json").write_text(header_text(graph, sizes) + "\n", encoding="utf-8")
        arrays = {key: encodings.decode(encoding).view(np.uint32) for key, encoding in graph.params.items()}
        with path.with_suffix(".npz").open("wb") as stream:
            # the keys of an archive are file names; numbers are safe ones
            np.savez_compressed(
                stream, names=np.array(list(arrays)), **{f"a{i}": a for i, a in enumerate(arrays.values())}
            )


def write_integer_network() -> None:
    """Write the golden container of an integer network, beside it the integers that it holds."""
    from checks import networks

    from refcompress.encodings import integers
    from refcompress.formats.rcz import integer, layout

    path = HERE / "v2_integer.rcz"
    if path.exists():
        return
    network = networks.integer_network(4)
    integer.save(network, path)
    data = path.read_bytes()
    end = 12 + int.from_bytes(data[9:12], "little")
    text = zlib.decompressobj(-15, layout.DICTIONARY).decompress(data[12:end])
    path.with_suffix(".json").write_text(text.decode() + "\n", encoding="utf-8")
    arrays = {name: integers.rows_of(network.graph.params[name]) for name in networks.INTEGER_WEIGHTS}
    arrays |= {
        f"{name} scales": integers.scales_of(network.graph.params[name]).view(np.uint32)
        for name in networks.INTEGER_WEIGHTS
    }
    arrays |= dict(network.biases)
    with path.with_suffix(".npz").open("wb") as stream:
        np.savez_compressed(stream, names=np.array(list(arrays)), **{f"a{i}": a for i, a in enumerate(arrays.values())})


if __name__ == "__main__":
    main()
