"""Exporters that wrap a network's C for a way to build: one file, Arduino, Zephyr, or a whole bare-metal program."""
