"""NDVI of an area by Arrow Flight alone: a ticket typed as JSON, rows as NumPy arrays, and none of this project's packages.

    python examples/plain_flight.py grpc://127.0.0.1:8815 ny

What the columns mean is on docs/protocol.md.
"""

import json
import sys
from collections import defaultdict

import numpy as np
import pyarrow.flight as fl

AREA = {"minx": -74.3, "miny": 40.4, "maxx": -73.5, "maxy": 41.0}


def main(url: str, collection: str) -> None:
    """Print the mean NDVI of each record."""
    ticket = {
        "collection": collection,
        "bands": ["red", "nir08"],
        "geometries": {"crs": "OGC:CRS84", "bboxes": {"values": [AREA]}},
        "grid": {"masked": True},
    }
    with fl.connect(url) as client:
        info = client.get_flight_info(fl.FlightDescriptor.for_command(json.dumps(ticket).encode()))
        print(f"{info.total_records} rows, {info.total_bytes} bytes of pixels")
        ndvi = defaultdict(list)
        for endpoint in info.endpoints:
            for chunk in client.do_get(endpoint.ticket):
                rows = chunk.data
                for row in range(rows.num_rows):
                    height, width = rows["height"][row].as_py(), rows["width"][row].as_py()
                    # Invalid pixels are null: NaN in a float array.
                    red, nir = (
                        rows[band][row].values.to_numpy(zero_copy_only=False).astype("f4").reshape(height, width)
                        for band in ("red", "nir08")
                    )
                    with np.errstate(invalid="ignore"):
                        ndvi[rows["record_id"][row].as_py()].append((nir - red) / (nir + red))
    for record, strips in ndvi.items():
        pixels = np.vstack(strips)
        print(f"{record}  {pixels.shape[0]} x {pixels.shape[1]} pixels  NDVI {np.nanmean(pixels):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
