"""The only rooms that import Numba; arrays in, arrays out."""
