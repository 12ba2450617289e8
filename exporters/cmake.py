"""The CMake target of what an exporter wrote."""

from __future__ import annotations

from collections.abc import Iterable

from refcompress.version import __version__


def cmake_lists(target: str, names: Iterable[str]) -> bytes:
    """Write a ``CMakeLists.txt`` that makes a static library of the C sources among these files.

    Examples
    --------
    >>> print(cmake_lists("net", ["net.h", "net.c"]).decode().splitlines()[3])
    project(net VERSION 0.1.0 LANGUAGES C)

    """
    sources = "".join(f"  {name}\n" for name in names if name.endswith(".c"))
    return f"""# A network exported by refcompress; do not edit, export it again. In a project of your own:
#   add_subdirectory(path/to/this/folder)   and   target_link_libraries(app PRIVATE {target})
cmake_minimum_required(VERSION 3.13)
project({target} VERSION {__version__} LANGUAGES C)

add_library({target} STATIC
{sources})
target_include_directories({target} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
target_compile_features({target} PUBLIC c_std_99)
if(CMAKE_C_COMPILER_ID MATCHES "GNU|Clang")
  # every float operation is rounded on its own; what the network does not use is dropped when linking
  target_compile_options({target} PRIVATE -ffp-contract=off -ffunction-sections -fdata-sections)
  if(NOT APPLE)
    target_link_options({target} INTERFACE -Wl,--gc-sections)
  endif()
endif()
""".encode()
