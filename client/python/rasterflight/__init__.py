"""Read collections of cloud-optimised GeoTIFFs from a rasterflight server, as if they were here.

>>> import rasterflight as rf
>>> client = rf.connect("grpc://host:8815")
>>> s2 = client.collection("s2")
>>> s2.get_xarray(geometries=(5.1, 51.2, 5.2, 51.3), bands=["B04", "B08"])
"""

from rasterflight import errors
from rasterflight._client import Client, connect, local
from rasterflight._collection import Collection
from rasterflight._grids import GridKeywords
from rasterflight._plan import Plan
from rasterflight._requests import FilterKeywords
from rasterflight._rows import Chip
from rasterflight._stream import SkippedRecord, Stream
from rasterflight.errors import NoDataFound, RasterflightError

__all__ = [
    "Chip",
    "Client",
    "Collection",
    "FilterKeywords",
    "GridKeywords",
    "NoDataFound",
    "Plan",
    "RasterflightError",
    "SkippedRecord",
    "Stream",
    "connect",
    "errors",
    "local",
]
