"""Rules that lower operators of float networks to steps of the runtime, a family a file."""
