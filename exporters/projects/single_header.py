"""One file that holds a network, the runtime and nothing else: declarations for all, the code where it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import exporters.c
from exporters.decode_tables import DEFAULT_MAX_TABLE_BITS
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork

_OWN_INCLUDE = re.compile(r'^#include "(\w+\.h)"\n', re.MULTILINE)
_FILE_SCOPE = re.compile(
    r"^(?:static|RC_INLINE|RC_OUTLINE)\b[^;={(]*?(\w+)\s*[(\[={;]|^#define (\w+)|^typedef (?:struct|enum) (\w+)",
    re.MULTILINE,
)
_COMMENT = re.compile(r"(/\*.*?\*/)", re.DOTALL)


def export(
    graph: Graph | IntegerNetwork, *, prefix: str, max_table_bits: int = DEFAULT_MAX_TABLE_BITS
) -> dict[str, bytes]:
    """Write a network as one C99 header.

    Every file that calls the network includes it; one C source defines ``PREFIX_IMPLEMENTATION`` before. Several
    networks implemented in the same source share the runtime's code.

    Parameters
    ----------
    graph
        The network, float32 or integer.
    prefix
        Begins every identifier and names the file.
    max_table_bits
        As for :func:`exporters.c.export`.

    Returns
    -------
    dict of str to bytes
        ``PREFIX.h``.

    Raises
    ------
    OptionError, ModelError
        As :func:`exporters.c.export`.

    Examples
    --------
    >>> from refcompress import Graph, Node, TensorSpec, ops
    >>> node = Node("Relu", "act", ("x",), "y", attrs=ops.NoAttrs())
    >>> list(export(Graph((TensorSpec("x", (4,)),), ("y",), (node,), {}), prefix="net"))
    ['net.h']

    """
    files = exporters.c.sources(exporters.c.export(graph, prefix=prefix, max_table_bits=max_table_bits))
    header, source, shared = (files.pop(name).decode() for name in (f"{prefix}.h", f"{prefix}.c", "rc.h"))
    text = _TEMPLATE.format(
        prefix=prefix,
        upper=prefix.upper(),
        public=f"{_bare(shared)}\n{_bare(header)}",
        implementation=f"{merged(files)}\n{_bare(source)}",
    )
    return {f"{prefix}.h": text.encode()}


def merged(files: Mapping[str, bytes]) -> str:
    """Put files of the runtime into one text that compiles: headers first, each source once, with names of its own.

    Examples
    --------
    >>> from exporters import runtime
    >>> merged(runtime.files_for(["relu"])).count("#include")
    3

    """
    texts = {name: data.decode() for name, data in files.items()}
    headers = {name: text for name, text in texts.items() if name.endswith(".h")}
    code = [_bare(headers[name]) for name in _included_first(headers)]
    code += [_guarded(name, text) for name, text in texts.items() if name.endswith(".c")]
    return "\n".join(code)


def _bare(text: str) -> str:
    return _OWN_INCLUDE.sub("", text)


def _included_first(headers: Mapping[str, str]) -> Iterator[str]:
    """Order headers so that each stands behind those it includes."""
    done: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name in headers and name not in done:
            done.add(name)
            for other in _OWN_INCLUDE.findall(headers[name]):
                yield from visit(other)
            yield name

    for name in headers:
        yield from visit(name)


def _guarded(name: str, text: str) -> str:
    """Let a source stand among others: in once, and with names of its own for what only it sees."""
    stem = name.removesuffix(".c")
    found = {word for match in _FILE_SCOPE.finditer(_bare(text)) for word in match.groups() if word}
    own = sorted(word for word in found if not word.lower().startswith("rc_"))
    text = _bare(text)
    if own:
        words = re.compile(rf"(?<![.>\w])({'|'.join(own)})\b")
        parts = _COMMENT.split(text)
        parts[::2] = [words.sub(lambda match: f"{stem}_{match[1]}", part) for part in parts[::2]]
        text = "".join(parts)
    macros = "".join(f"#undef {macro}\n" for macro in sorted(set(re.findall(r"^#define (RC_\w+)", text, re.MULTILINE))))
    return f"#ifndef {stem.upper()}_C\n#define {stem.upper()}_C\n{text}{macros}#endif\n"


_TEMPLATE = """\
/* {prefix}.h - a network and its runtime in one file, exported by refcompress; do not edit, export it again.
 *
 * Include it wherever the network is called. In one C source, write
 *
 *     #define {upper}_IMPLEMENTATION
 *     #include "{prefix}.h"
 *
 * Networks that are implemented in the same source share the runtime; in different ones its functions would clash. */
{public}
#ifdef {upper}_IMPLEMENTATION
#ifdef __cplusplus
#error "define {upper}_IMPLEMENTATION in a C source, not in C++"
#endif

{implementation}
#endif
"""
