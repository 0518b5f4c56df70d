"""A collection in numbers: how its records spread over time and CRS, and how large its pixels are."""

from collections.abc import Mapping
from dataclasses import dataclass

from rasterflight_server.catalog.assets import AssetsFile
from rasterflight_server.catalog.database import Database
from rasterflight_server.catalog.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts over all records; those without a time or a CRS are left out."""

    #: "2018-04" -> records of the month (UTC), in order; months without any are left out.
    months: Mapping[str, int]
    #: Name -> records, the most frequent first.
    crs: Mapping[str, int]
    #: Band -> widths of its pixels in units of their CRS, the most frequent first.
    resolutions: Mapping[str, tuple[float, ...]]


def count_overview(database: Database, assets: AssetsFile, manifest: Manifest) -> Overview:
    """Count; for a million records of four files in less than a second."""
    sizes = assets.pixel_sizes()
    found: dict[str, tuple[float, ...]] = {}
    for band in manifest.bands:
        counts: dict[float, int] = {}
        for candidate in band.candidates:
            for size, count in sizes[candidate.slot].items():
                counts[size] = counts.get(size, 0) + count
        found[band.name] = tuple(sorted(counts, key=lambda size: (-counts[size], size)))
    months = (
        "SELECT strftime(datetime, '%Y-%m'), count(*) FROM records WHERE datetime IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    crs = "SELECT crs, count(*) FROM records WHERE crs IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
    return Overview(_pairs(database, months), _pairs(database, crs), found)


def _pairs(database: Database, sql: str) -> dict[str, int]:
    keys, counts = database.query(sql).columns
    return dict(zip(keys.to_pylist(), counts.to_pylist(), strict=True))
