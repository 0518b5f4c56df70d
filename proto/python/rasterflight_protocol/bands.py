"""Facts about a band, as they travel in the metadata of its column."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

_PREFIX = "rasterflight:"
_DTYPE_KEY = (_PREFIX + "dtype").encode()

#: Pixel value -> name.
Categories: TypeAlias = tuple[tuple[int, str], ...]
#: Pixel value -> red, green, blue, alpha, each 0 to 255.
Colormap: TypeAlias = tuple[tuple[int, int, int, int], ...]


def nodata_pixel(nodata: str, dtype: str) -> Any:
    """Pixel that counts as nodata.

    A file may declare a fraction for pixels that are whole numbers; GDAL then takes the whole part.
    """
    kind = np.dtype(dtype)
    if kind.kind not in "iu":
        return kind.type(nodata)
    try:
        return kind.type(int(nodata))
    except ValueError:
        return kind.type(int(float(nodata)))


def pixel_type(dtype: str) -> pa.DataType:
    """Arrow type of a pixel; complex numbers, for which Arrow has none, are lists of their two parts."""
    kind = np.dtype(dtype)
    if kind.kind != "c":
        return pa.from_numpy_dtype(kind)
    part = pa.float32() if kind.itemsize == 8 else pa.float64()  # noqa: PLR2004
    return pa.list_(pa.field("item", part, nullable=False), 2)


@dataclass(frozen=True, slots=True)
class BandField:
    """Facts about a band. Those in which the records of a read differ are left out."""

    name: str
    #: NumPy name of the pixel type, native byte order: ``"uint16"``.
    dtype: str
    #: The nodata value as the file declares it (``"0"``, ``"nan"``, ``"-9999.0"``); None: the band has none.
    nodata: str | None = None
    #: The records of this read differ in nodata; ``nodata`` is then None.
    nodata_varies: bool = False
    #: physical value = pixel * scale + offset. Not there when the pixels on the wire are physical values already.
    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    description: str | None = None
    #: Colour interpretation in the words of rasterio: ``"gray"``, ``"red"``, ``"palette"``, ``"alpha"`` ...
    colorinterp: str | None = None
    #: The colour table; entry i is the colour of the pixel value i.
    colormap: Colormap | None = None
    #: Names of classes.
    categories: Categories | None = None
    #: What GDAL_METADATA says about the band.
    tags: Mapping[str, str] = field(default_factory=dict)
    #: What GDAL_METADATA and the texts of the TIFF say about the file.
    file_tags: Mapping[str, str] = field(default_factory=dict)
    #: Invalid pixels are null.
    masked: bool = False

    def nodata_value(self) -> np.generic | None:
        """The pixel that counts as nodata, as a scalar of the band's dtype."""
        return None if self.nodata is None else nodata_pixel(self.nodata, self.dtype)

    def fill_value(self) -> np.generic:
        """What pixels outside hold: nodata, or 0 where the band has none."""
        value = self.nodata_value()
        return np.dtype(self.dtype).type(0) if value is None else value

    def to_arrow(self) -> pa.Field:
        """The list column of the chips layout."""
        facts = {
            "dtype": self.dtype,
            "nodata": self.nodata,
            "nodata_varies": "true" if self.nodata_varies else None,
            "scale": None if self.scale is None else repr(self.scale),
            "offset": None if self.offset is None else repr(self.offset),
            "unit": self.unit,
            "description": self.description,
            "colorinterp": self.colorinterp,
            "colormap": _json(self.colormap),
            "categories": _json(self.categories),
            "tags": _json(self.tags),
            "file_tags": _json(self.file_tags),
        }
        metadata = {_PREFIX + key: value for key, value in facts.items() if value is not None}
        item = pa.field("item", pixel_type(self.dtype), nullable=self.masked)
        return pa.field(self.name, pa.list_(item), metadata=metadata)

    @classmethod
    def from_arrow(cls, field: pa.Field) -> "BandField":
        """Read the facts back from a column of the chips layout."""
        facts = {
            key.decode().removeprefix(_PREFIX): value.decode()
            for key, value in (field.metadata or {}).items()
            if key.decode().startswith(_PREFIX)
        }
        return cls(
            name=field.name,
            dtype=facts["dtype"],
            nodata=facts.get("nodata"),
            nodata_varies="nodata_varies" in facts,
            scale=float(facts["scale"]) if "scale" in facts else None,
            offset=float(facts["offset"]) if "offset" in facts else None,
            unit=facts.get("unit"),
            description=facts.get("description"),
            colorinterp=facts.get("colorinterp"),
            colormap=_pairs(facts.get("colormap")),
            categories=_pairs(facts.get("categories")),
            tags=json.loads(facts.get("tags", "{}")),
            file_tags=json.loads(facts.get("file_tags", "{}")),
            masked=field.type.value_field.nullable,
        )


def is_band(column: pa.Field) -> bool:
    """Whether a column of the chips layout holds a band."""
    return _DTYPE_KEY in (column.metadata or {})


def _json(value: object) -> str | None:
    return json.dumps(value, ensure_ascii=False) if value else None


def _pairs(text: str | None) -> Any:
    return None if text is None else tuple(tuple(entry) for entry in json.loads(text))
