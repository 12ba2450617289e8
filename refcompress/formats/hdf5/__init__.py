"""HDF5 files, read without trusting any of their bytes, and written."""
