"""What the Deep Compression paper reports for its two MNIST networks.

Han, Mao & Dally, "Deep Compression: Compressing deep neural networks with pruning, trained quantization and Huffman
coding", ICLR 2016, tables 1, 2 and 3. Targets, not oracles: LeNet-5's ip2 gets longer by Huffman coding there, and
rates contain codebooks in some rows only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublishedLayer:
    """One row of the paper's table.

    Attributes
    ----------
    name
        Layer.
    density
        Share of weights that survive.
    weight_bits, index_bits
        Bits of a surviving weight and of its position, in fixed widths.
    weight_bits_huffman, index_bits_huffman
        The same after Huffman coding.
    rate, rate_huffman
        Bytes after pruning and sharing, and after Huffman coding too, as a share of float32.

    """

    name: str
    density: float
    weight_bits: float
    weight_bits_huffman: float
    index_bits: float
    index_bits_huffman: float
    rate: float
    rate_huffman: float


@dataclass(frozen=True, slots=True)
class PublishedNetwork:
    """What the paper reports for a network.

    Attributes
    ----------
    layers, total
        Rows of its table.
    error_before, error_after
        Share of the 10,000 test images that are classified wrongly.
    dense_bytes, file_bytes
        In units of 1,000 bytes rounded, as printed.

    """

    layers: tuple[PublishedLayer, ...]
    total: PublishedLayer
    error_before: float
    error_after: float
    dense_bytes: int
    file_bytes: int


LENET_300_100 = PublishedNetwork(
    layers=(
        PublishedLayer("ip1", 0.08, 6, 4.4, 5, 3.7, 0.031, 0.0232),
        PublishedLayer("ip2", 0.09, 6, 4.4, 5, 4.3, 0.038, 0.0304),
        PublishedLayer("ip3", 0.26, 6, 4.3, 5, 3.2, 0.157, 0.1270),
    ),
    total=PublishedLayer("total", 0.08, 6, 5.1, 5, 3.7, 0.031, 0.0249),
    error_before=0.0164,
    error_after=0.0158,
    dense_bytes=1_070_000,
    file_bytes=27_000,
)

LENET_5 = PublishedNetwork(
    layers=(
        PublishedLayer("conv1", 0.66, 8, 7.2, 5, 1.5, 0.785, 0.6745),
        PublishedLayer("conv2", 0.12, 8, 7.2, 5, 3.9, 0.060, 0.0528),
        PublishedLayer("ip1", 0.08, 5, 4.5, 5, 4.5, 0.027, 0.0245),
        PublishedLayer("ip2", 0.19, 5, 5.2, 5, 3.7, 0.069, 0.0613),
    ),
    total=PublishedLayer("total", 0.08, 5.3, 4.1, 5, 4.4, 0.0305, 0.0255),
    error_before=0.0080,
    error_after=0.0074,
    dense_bytes=1_720_000,
    file_bytes=44_000,
)
