"""Functions called in the place of layers, by subject: each turns one call into nodes."""
