"""Scaled values, against NumPy on the pixels of rasterio."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rasterflight._chips import read_chips
from rasterflight_protocol import band_fields, pack
from rasterflight_protocol.v1.read_pb2 import VALUES_SCALED, GridOptions, ReadRequest
from support.described import write
from support.direct import Direct, direct

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
#: Type of physical values, spelled out.
PHYSICAL = dict.fromkeys(DTYPES, "float64") | dict.fromkeys(["uint8", "int8", "uint16", "int16", "float32"], "float32")


@pytest.fixture(scope="module")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Direct]]:
    folder = tmp_path_factory.mktemp("scaled")
    for dtype in DTYPES:
        write(folder / f"{dtype}-both.tif", dtype, scale=0.1, offset=-17.3, nodata=7)
        write(folder / f"{dtype}-scale.tif", dtype, scale=1e-4)
        write(folder / f"{dtype}-offset.tif", dtype, offset=273.15)
        write(folder / f"{dtype}-none.tif", dtype, nodata=0)
        write(folder / f"{dtype}-huge.tif", dtype, scale=1e300)
    write(folder / "rgba.tif", "uint8", scale=2.0)
    with direct(folder, tmp_path_factory.mktemp("index") / "i") as reads:
        yield folder, reads


@pytest.mark.parametrize("kind", ["both", "scale", "offset", "none", "huge"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_scaled_values(scaled: tuple[Path, Direct], dtype: str, kind: str) -> None:
    folder, reads = scaled
    [chip], fields = reads.read(f"{dtype}-{kind}", values=VALUES_SCALED)
    kind_of = np.dtype(PHYSICAL[dtype]).type
    with rasterio.open(folder / f"{dtype}-{kind}.tif") as dataset, np.errstate(over="ignore", invalid="ignore"):
        for index, field in enumerate(fields):
            raw = dataset.read(index + 1)
            truth = raw.astype(kind_of) * kind_of(dataset.scales[index]) + kind_of(dataset.offsets[index])
            truth[dataset.read_masks(index + 1) == 0] = np.nan
            assert chip.pixels[field.name].dtype == kind_of
            np.testing.assert_array_equal(chip.pixels[field.name], truth)
            assert (field.dtype, field.nodata, field.scale, field.offset) == (PHYSICAL[dtype], "nan", None, None)
            assert not field.masked
    assert not chip.masks


def test_scaled_and_masked_are_nan_under_the_mask(scaled: tuple[Path, Direct]) -> None:
    _, reads = scaled
    [chip], fields = reads.read("int16-both", values=VALUES_SCALED, masked=True)
    for field in fields:
        assert field.masked
        np.testing.assert_array_equal(np.isnan(chip.pixels[field.name]), chip.masks[field.name])
        assert chip.masks[field.name].any()


def test_records_are_scaled_each_by_its_own_in_one_read(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", "int16", scale=0.5, offset=1.0, nodata=3)
    write(tmp_path / "b.tif", "int16", scale=2.0, offset=-1.0, nodata=4)
    with direct(tmp_path, tmp_path / "index") as reads:
        request = ReadRequest(
            collection="files", bands=reads.bands("a")[:1], grid=GridOptions(values=VALUES_SCALED, masked=True)
        )
        stream = reads.service.chips(reads.collection, reads.service.request(pack(request))[0])
        found = {
            chip.record_id: chip
            for chip in read_chips((batch for batch, _ in stream.batches(lambda: None)), stream.schema)
        }
        [field] = band_fields(stream.schema)
    assert not field.nodata_varies
    for record, scale, offset in (("a", 0.5, 1), ("b", 2, -1)):
        with rasterio.open(tmp_path / f"{record}.tif") as dataset:
            raw, mask = dataset.read(1), dataset.read_masks(1) == 0
        truth = np.where(mask, np.nan, raw.astype(np.float32) * np.float32(scale) + np.float32(offset))
        np.testing.assert_array_equal(found[record].pixels[field.name], truth)
        np.testing.assert_array_equal(found[record].masks[field.name], mask)


def test_complex_numbers_have_no_physical_values(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", "complex64", nodata=5)
    with direct(tmp_path, tmp_path / "index") as reads, rasterio.open(tmp_path / "a.tif") as dataset:
        with pytest.raises(Exception, match="has complex numbers") as caught:
            reads.read("a", values=VALUES_SCALED)
        assert (caught.value.field, caught.value.record) == ("grid.values", "a")
        [chip], _ = reads.read("a", masked=True)
        for mask, truth in zip(chip.masks.values(), dataset.read_masks(), strict=True):
            np.testing.assert_array_equal(mask, truth == 0)
