"""The layouts of structs.py against what a C compiler says about the same structures.

libnghttp2's own headers need not be there: its structures are declared here as its manual has them.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.hotpath.lane import structs
from server.hotpath.lane.lane_record import LANE, POOL

PROGRAM = r"""
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>

typedef struct { size_t length; int32_t stream_id; uint8_t type, flags, reserved; } frame_hd;
typedef struct { uint8_t *name, *value; size_t namelen, valuelen; uint8_t flags; } nv;
typedef union { int fd; void *ptr; } data_source;
typedef struct { data_source source; void *read_callback; } data_provider;
typedef struct { int32_t settings_id; uint32_t value; } settings_entry;

#define SIZE(name, type) printf("%s size %zu\n", name, sizeof(type))
#define AT(name, type, field, ours) printf("%s %s %zu\n", name, ours, offsetof(type, field))

int main(void) {
    SIZE("FRAME_HEADER", frame_hd);
    AT("FRAME_HEADER", frame_hd, length, "length");
    AT("FRAME_HEADER", frame_hd, stream_id, "stream_id");
    AT("FRAME_HEADER", frame_hd, type, "type");
    AT("FRAME_HEADER", frame_hd, flags, "flags");
    AT("FRAME_HEADER", frame_hd, reserved, "reserved");
    SIZE("NAME_VALUE", nv);
    AT("NAME_VALUE", nv, name, "name");
    AT("NAME_VALUE", nv, value, "value");
    AT("NAME_VALUE", nv, namelen, "name_length");
    AT("NAME_VALUE", nv, valuelen, "value_length");
    AT("NAME_VALUE", nv, flags, "flags");
    SIZE("DATA_PROVIDER", data_provider);
    AT("DATA_PROVIDER", data_provider, source, "source");
    AT("DATA_PROVIDER", data_provider, read_callback, "read");
    SIZE("SETTINGS_ENTRY", settings_entry);
    AT("SETTINGS_ENTRY", settings_entry, settings_id, "id");
    AT("SETTINGS_ENTRY", settings_entry, value, "value");
    SIZE("EPOLL_EVENT", struct epoll_event);
    AT("EPOLL_EVENT", struct epoll_event, events, "events");
    AT("EPOLL_EVENT", struct epoll_event, data, "data");
    return 0;
}
"""
NAMES = ("FRAME_HEADER", "NAME_VALUE", "DATA_PROVIDER", "SETTINGS_ENTRY", "EPOLL_EVENT")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """Size and offsets by structure, from a C program."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) on this machine")
    folder: Path = tmp_path_factory.mktemp("c")
    (folder / "layout.c").write_text(PROGRAM)
    program = folder / "layout"
    subprocess.run([compiler, "-o", str(program), str(folder / "layout.c")], check=True, timeout=60)
    lines = subprocess.run([program], check=True, capture_output=True, text=True, timeout=10).stdout
    found: dict[str, dict[str, int]] = {}
    for line in lines.splitlines():
        name, field, number = line.split()
        found.setdefault(name, {})[field] = int(number)
    return found


def layout_of(dtype: np.dtype[Any]) -> dict[str, int]:
    fields: Any = dtype.fields or {}
    return {"size": dtype.itemsize, **{name: int(entry[1]) for name, entry in fields.items()}}


@pytest.mark.parametrize("name", NAMES)
def test_a_structure_has_the_layout_that_c_gives_it(
    compiled: dict[str, dict[str, int]], name: str
) -> None:
    assert layout_of(getattr(structs, name)) == compiled[name]


@pytest.mark.parametrize("dtype", [structs.CONNECTION, structs.CALL, LANE, POOL])
def test_our_own_records_are_whole_words_without_gaps(dtype: np.dtype[Any]) -> None:
    assert dtype.itemsize % 8 == 0
    expected = 0
    for kind, offset, *_ in (dtype.fields or {}).values():
        assert (offset, kind.itemsize % 8) == (expected, 0)
        expected += kind.itemsize
    assert expected == dtype.itemsize
