"""Files of named arrays, put onto the parameters of a network by name."""

from refcompress.formats.named_arrays.weights import load_weights

__all__ = ["load_weights"]
