"""The page on the wire protocol says all that there is, and what it says is enough."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rasterflight as rf
from rasterflight_protocol import BandField, ErrorCode, chips_schema, pixels_schema, points_schema, records_schema
from rasterflight_protocol.v1 import error_pb2, plan_pb2, read_pb2
from rasterflight_server.flight.actions import ACTIONS
from support.server import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "protocol.md").read_text()
EXAMPLE = ROOT / "examples" / "plain_flight.py"
#: What stands in code on the page.
TEXT = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
WORDS = set(re.findall(r"[\w.:-]+", " ".join(re.findall(r"`([^`]+)`", TEXT))))
MODULES = (read_pb2, plan_pb2, error_pb2)
MESSAGES = [message for module in MODULES for message in module.DESCRIPTOR.message_types_by_name.values()]
ENUMS = [enum for module in MODULES for enum in module.DESCRIPTOR.enum_types_by_name.values()]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_every_field_is_on_the_page(message) -> None:
    assert message.name in WORDS
    assert {field.name for field in message.fields} <= WORDS


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.name)
def test_every_value_is_on_the_page(enum) -> None:
    assert {value.name for value in enum.values if value.number} <= WORDS


def test_every_code_is_on_the_page() -> None:
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| (yes|no) \|", PAGE, re.MULTILINE))
    assert told == {code.code: "yes" if code.retryable else "no" for code in ErrorCode}


def test_every_column_is_on_the_page() -> None:
    schemas = [
        chips_schema([], with_error=True),
        pixels_schema([], with_error=True),
        points_schema(with_neighbourhood=True, with_error=True),
        records_schema(),
    ]
    assert {name for schema in schemas for name in schema.names} <= WORDS


def test_every_key_and_action_is_on_the_page() -> None:
    band = BandField(
        "b",
        "uint8",
        "0",
        nodata_varies=True,
        scale=1.0,
        offset=0.0,
        unit="m",
        description="d",
        colorinterp="gray",
        colormap=((0, 0, 0, 0),),
        categories=((0, "a"),),
        tags={"a": "b"},
        file_tags={"a": "b"},
    )
    assert {key.decode() for key in band.to_arrow().metadata} <= WORDS
    assert ACTIONS.keys() <= WORDS


def test_the_example_needs_nothing_of_ours(server: ServerProcess, client: rf.Client) -> None:
    imported = [
        node for node in ast.walk(ast.parse(EXAMPLE.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = {alias.name for node in imported if isinstance(node, ast.Import) for alias in node.names}
    assert names == {"json", "sys", "numpy", "pyarrow.flight"}
    told = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, server.url, "ny"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    chips = list(client.collection("ny").read((-74.3, 40.4, -73.5, 41.0), bands=["red", "nir08"], masked=True).chips())
    assert told[0].startswith(f"{len(chips)} rows, ")
    assert told[1:] == list(map(_line, chips))


def _line(chip: rf.Chip) -> str:
    red, nir = (np.where(chip.masks[band], np.nan, chip.pixels[band].astype("f4")) for band in ("red", "nir08"))
    with np.errstate(invalid="ignore"):
        ndvi = np.nanmean((nir - red) / (nir + red))
    return f"{chip.record_id}  {chip.height} x {chip.width} pixels  NDVI {ndvi:.4f}"
