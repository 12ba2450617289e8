"""How a weight array is represented: dense or sparse rows, of float32, a codebook or integers, packed or Huffman coded.

Encodings nest: ``Csr(values=Codebook(labels=Huffman(...)), gaps=Huffman(...))``. :func:`decode` gives the array back,
:func:`pack` and :func:`unpack` its bytes, :func:`smallest` the encoding of the same values with the fewest bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import csr, dense
from refcompress.encodings.bits import Bits
from refcompress.encodings.csr import Csr
from refcompress.encodings.dense import Dense
from refcompress.encodings.huffman import Huffman
from refcompress.encodings.packed import Encoding, pack
from refcompress.encodings.smallest import smallest
from refcompress.encodings.unpacking import unpack
from refcompress.encodings.values import Codebook, Float32, IntegerCodebook, IntStream, Joint, Linear, Values

encode = dense.encode


def decode(encoding: Encoding) -> NDArray[np.float32]:
    """Return the dense float32 array of any encoding, in its original shape.

    Examples
    --------
    >>> decode(encode([1.0, 0.0, 2.0]))
    array([1., 0., 2.], dtype=float32)

    """
    return csr.decode(encoding) if isinstance(encoding, Csr) else dense.decode(encoding)


__all__ = [
    "Bits",
    "Codebook",
    "Csr",
    "Dense",
    "Encoding",
    "Float32",
    "Huffman",
    "IntStream",
    "IntegerCodebook",
    "Joint",
    "Linear",
    "Values",
    "decode",
    "encode",
    "pack",
    "smallest",
    "unpack",
]
