"""Keras's layers, by subject: each function turns one call of a layer into nodes."""
