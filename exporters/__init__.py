"""Exporters: a network becomes files for a target. Each is ``export(graph, *, prefix) -> {path: bytes}``, pure."""
