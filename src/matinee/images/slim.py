"""What the UI's image leaves out of its packages, and why: half of what they bring is for somebody else.

A package that a page of the app's own names in its header is left whole. Measured by `bench/images.py`.
"""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterable
from pathlib import Path

# Patterns below site-packages, by package. What is listed is imported by no page, or only where it is found.
LEFT_OUT: dict[str, tuple[tuple[str, str], ...]] = {
    "pyarrow": (
        ("libarrow_flight* libarrow_python_flight* _flight* flight.py", "the client of a database protocol, 36 MB"),
        ("libarrow_s3* _s3fs*", "a client of S3: files come through boto3, 18 MB"),
        ("include src tests", "headers and tests, 10 MB"),
        # A wheel cannot hold links: each library is there under three names, and found by the middle one.
        ("libarrow_python.so libarrow_python.so.*.*.*", "copies of one library, 6 MB"),
        ("libarrow_python_parquet_encryption.so libarrow_python_parquet_encryption.so.*.*.*", "copies of one library"),
    ),
    "pandas": (("tests", "its own tests, 18 MB"),),
    "numpy": (("distutils f2py */tests */*/tests _core/_simd*", "tools of a compiler, tests, 9 MB"),),
    "streamlit": (("hello testing .agents", "its demonstration, help for tests and for assistants"),),
    "pydeck": (("nbextension/static", "a widget of Jupyter's, 23 MB"),),
    "pydantic": (("v1", "its previous version, which nothing here asks for"),),
    "PIL": (("_avif* ../pillow.libs/libavif*", "a format of pictures that browsers show by themselves, 6 MB"),),
    "botocore": (("data/*", "descriptions of the services that the app does not use, 25 MB"),),
}
_WITH_SOURCE = ("streamlit",)  # shows its own lines to whoever writes pages
_PACKAGE_OF = {"PIL": "pillow"}
# The services whose descriptions stay: those of the app, and of signing in.
_SERVICES = set(
    """batch cloudwatch dynamodb ecs events lambda logs s3 scheduler sesv2 signin sns ssm sso sso-oidc
    sts""".split()  # noqa: SIM905 (a table to read)
)
# Sources of what is compiled already; lists of files that are no longer true.
_SOURCES = ("*.pyx", "*.pxd", "*.pxi", "*.pyi", "*.h", "*.c", "*.cpp", "*.a", "*.js.map", "RECORD")


def slim(folder: Path, kept: Iterable[str] = ()) -> None:
    """Remove from the compiled packages below `folder` what the UI does without; of those in `kept` only sources."""
    whole = {name.lower() for name in kept}
    for packages in folder.glob("usr/local/lib/python*/site-packages"):
        for package, patterns in LEFT_OUT.items():
            if _PACKAGE_OF.get(package, package) not in whole:
                _leave_out(packages / package, [pattern for texts, _ in patterns for pattern in texts.split()])
        for pattern in _SOURCES:
            for path in packages.rglob(pattern):
                path.unlink()
        for library in packages.rglob("*.so*"):
            _strip(library)
        for top in packages.iterdir():
            if top.name not in _WITH_SOURCE:
                _compiled_only(top)


def _leave_out(package: Path, patterns: list[str]) -> None:
    for pattern in patterns:
        where, wanted = (package.parent, pattern[3:]) if pattern.startswith("../") else (package, pattern)
        for path in list(where.glob(wanted)):
            if pattern == "data/*" and (path.is_file() or path.name in _SERVICES):
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _compiled_only(package: Path) -> None:
    """Keep each module of a package as compiled, without its source: what fails there is still told by line.

    https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation
    """
    for cache in package.rglob("__pycache__"):
        for compiled in cache.glob("*.pyc"):
            source = cache.parent / f"{compiled.name.partition('.')[0]}.py"
            if source.is_file():
                compiled.replace(source.with_suffix(".pyc"))
                source.unlink()


def _strip(library: Path) -> None:
    """Cut a library's symbol tables off, which only debuggers read: a tenth of the image.

    They lie behind all that is loaded into memory, and what loads it (ld.so) reads the program headers alone.
    https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
    """
    content = library.read_bytes()
    if content[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian: both of our platforms
        return
    (table,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    ends = [table + size * count]
    for header in range(table, table + size * count, size):
        (offset,) = struct.unpack_from("<Q", content, header + 8)
        (length,) = struct.unpack_from("<Q", content, header + 32)
        ends.append(offset + length)
    if max(ends) >= len(content):
        return
    without_sections = content[:40] + bytes(8) + content[48:58] + bytes(6) + content[64 : max(ends)]
    library.unlink()  # it may be a link to uv's cache
    library.write_bytes(without_sections)
