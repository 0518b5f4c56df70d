"""Bounds over all vertices: GEOS looks at outer rings alone, and in polygons that are not valid holes may stick out."""

import numpy as np
import numpy.typing as npt
import shapely


def vertex_bounds(geometries: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """Bounds (minx, miny, maxx, maxy) of the vertices of each geometry, shape (n, 4), as ``rasterio.features.bounds``.

    NaN for what is missing or empty.
    """
    bounds = np.asarray(shapely.bounds(geometries)).reshape(-1, 4)
    holes = shapely.get_num_interior_rings(geometries)
    many = np.flatnonzero(shapely.get_type_id(geometries) == shapely.GeometryType.MULTIPOLYGON)
    if len(many):
        parts, whole = shapely.get_parts(geometries[many], return_index=True)
        np.add.at(holes, many[whole], shapely.get_num_interior_rings(parts))
    holed = np.flatnonzero(holes)
    if len(holed):
        vertices, owner = shapely.get_coordinates(geometries[holed], return_index=True)
        first = np.searchsorted(owner, np.arange(len(holed)))
        bounds[holed, :2] = np.minimum.reduceat(vertices, first)
        bounds[holed, 2:] = np.maximum.reduceat(vertices, first)
    return bounds
