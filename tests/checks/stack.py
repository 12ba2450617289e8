"""The stack that compiled C takes, from GCC's call graphs (-fcallgraph-info=su)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from checks import targets
from checks.targets import Target

from exporters import runtime

LIBRARY_BYTES = 96  # of what the compiler's own library takes: float arithmetic of cores without an FPU

TARGETS = (targets.M0, targets.M3, targets.M4, targets.M7, targets.M33, targets.RV32)
INDIRECT = "__indirect_call"

_TITLE = re.compile(r'^graph: \{ title: "([^"]+)"')
_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "[^"]*?(?:(\d+) bytes \((\w+)\)[^"]*)?"', re.MULTILINE)
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', re.MULTILINE)


@dataclass
class CallGraph:
    """Frames of functions, and whom they call.

    Attributes
    ----------
    frames
        Function to the bytes of its frame; those of libraries are missing.
    calls
        Function to those it calls.
    sources
        Function to the file that defines it.

    """

    frames: dict[str, int] = field(default_factory=dict)
    calls: dict[str, set[str]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def read(self, text: str) -> None:
        """Add a file that GCC wrote; every frame must have a fixed size."""
        name = _TITLE.match(text)
        assert name
        for title, size, kind in _NODE.findall(text):
            if size:
                assert kind == "static", f"{title}: the frame is {kind}"
                self.frames[title], self.sources[title] = int(size), name[1]
        for source, target in _EDGE.findall(text):
            self.calls.setdefault(source, set()).add(target)

    def deepest(self, function: str, above: tuple[str, ...] = ()) -> int:
        """Bytes of stack below a call of a function; there must be no recursion."""
        assert function not in above, f"{function} calls itself by way of {above}"
        called = self.calls.get(function, set())
        others = called - {INDIRECT} | (self._pointed_to(function) if INDIRECT in called else set())
        below = (self.deepest(other, (*above, function)) for other in others)
        return self.frames.get(function, LIBRARY_BYTES) + max(below, default=0)

    def _pointed_to(self, function: str) -> set[str]:
        """Name what a function may call through a pointer: a recurrent layer a cell, that a product or a function."""
        assert re.match(r"rc_(recurrent|lstm|gru)\.c$", self.sources[function]), f"{function} calls through a pointer"
        calling = {name for name, called in self.calls.items() if INDIRECT in called}
        if "cell" in function or function in {"rc_apply", "rc_add_product"}:
            return {name for name in self.frames if name.startswith("rc_") and self._reaches(name).isdisjoint(calling)}
        return {name for name in calling if "cell" in name}

    def _reaches(self, function: str) -> set[str]:
        found, todo = {function}, [function]
        while todo:
            new = self.calls.get(todo.pop(), set()) - found
            found |= new
            todo += new
        return found


def call_graph(target: Target, files: Mapping[str, bytes], folder: Path, more: Iterable[str] = ()) -> CallGraph:
    """Compile the sources among these files and read what GCC says of their frames."""
    graph = CallGraph()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    for name in files:
        if name.endswith(".c"):
            path = (folder / name).with_suffix(".o")
            targets.compile_object(target, folder / name, path, (*more, "-fcallgraph-info=su"))
            graph.read(path.with_suffix(".ci").read_text().replace(f"{folder}/", ""))
    return graph


def kernel_stacks(target: Target, folder: Path, more: Iterable[str] = ()) -> dict[str, int]:
    """Deepest stack of each kernel of the runtime, by its key in the tables of sources."""
    tables = runtime.SOURCES | runtime.C_SOURCES | runtime.INTEGER_SOURCES
    graph = call_graph(target, runtime.files_for(tables), folder, more)
    deepest = {function: graph.deepest(function) for function in graph.frames}
    by_source: dict[str, int] = {}
    for function, source in graph.sources.items():
        by_source[source] = max(by_source.get(source, 0), deepest[function])
    return {kernel: max(by_source[source] for source in sources) for kernel, sources in tables.items()}
