"""The version of the code; the formats have versions of their own (see their SPEC.md)."""

__version__ = "0.1.0"
