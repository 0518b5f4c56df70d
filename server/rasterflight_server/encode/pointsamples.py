"""The pixels of points in one record: what is read for them, and what becomes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rasterflight_protocol.v1.read_pb2 import NEIGHBOURHOOD_ALWAYS
from rasterflight_server.plan.crs import epsg_code
from rasterflight_server.plan.cutouts import BandSource, unstored
from rasterflight_server.plan.physical import to_physical
from rasterflight_server.plan.placed import Placed
from rasterflight_server.plan.pointplan import PointCut
from rasterflight_server.plan.points import Points
from rasterflight_server.plan.request import Request
from rasterflight_server.plan.validity import invalid
from rasterflight_server.read.gather import Gathered, Layer, gather
from rasterflight_server.read.outcome import Outcome
from rasterflight_server.read.workers import Workers
from rasterflight_server.telemetry import Meter
from rasterflight_server.types import Asset

Pixels = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Surroundings(NamedTuple):
    """The pixels around points, shape (points, pixels), row by row from the top left."""

    values: Floats
    #: The pixel lies in the raster, and is not to be null.
    present: Bools
    #: They are asked for; shape (points,).
    wanted: Bools


@dataclass(frozen=True, slots=True, eq=False)
class BandSamples:
    """Values of one band of one record at points."""

    #: Position among the bands asked for.
    column: int
    #: EPSG code of the raster.
    epsg: int | None
    #: Positions in ``Points``, ascending.
    points: npt.NDArray[np.int64]
    values: Floats
    #: Which values are valid; NaN is not.
    usable: Bools
    #: Which values are to be null.
    null: Bools
    surroundings: Surroundings | None


class _Found(NamedTuple):
    """Values, one for each pixel or for each point."""

    values: Floats
    usable: Bools
    null: Bools


class Sampler:
    """Takes the pixels of points.

    Parameters
    ----------
    request, points
        What is asked for.
    workers
        Who reads.
    meter
        Counts what is read.
    """

    def __init__(self, request: Request, points: Points, workers: Workers, meter: Meter) -> None:
        self.meter = meter
        self._request = request
        self._points = points
        self._workers = workers

    def start(self, cut: PointCut) -> "CutSamples":
        """Begin to read what a record has to give."""
        return CutSamples(self, cut)

    def read(self, record_id: str, placed: Placed, layer: Layer, outcome: Outcome) -> None:
        """Begin to take the pixels of one level of a file."""
        gather(self._workers, record_id, layer, placed.pixels, owner=self, outcome=outcome)

    def close(self) -> None:
        """Give up what has not begun."""
        self._workers.drop(self)

    def finish(self, placed: Placed, band: BandSource, raw: Pixels, holes: Bools | None) -> BandSamples:
        """Make values of pixels.

        Parameters
        ----------
        raw
            As they are in the file.
        holes
            Which of them the file calls invalid; None: none.
        """
        found = self._found(band, raw, holes)
        surroundings = None
        if placed.distance:
            found, surroundings = self._searched(placed, found)
        epsg = None if placed.grid.crs is None else epsg_code(placed.grid.crs)
        return BandSamples(band.column, epsg, placed.points, *found, surroundings)

    def _found(self, band: BandSource, raw: Pixels, holes: Bools | None) -> _Found:
        unusable = np.isnan(raw) if raw.dtype.kind == "f" else np.zeros(len(raw), np.bool_)
        null = np.zeros(len(raw), np.bool_)
        if holes is not None:
            unusable = unusable | holes
            null = holes if self._request.masked else null
        return _Found(self._values(band, raw, holes), ~unusable, null)

    def _values(self, band: BandSource, raw: Pixels, holes: Bools | None) -> Floats:
        if not band.scaled:
            return raw.astype(np.float64)
        physical = np.empty(len(raw), band.dtype)
        to_physical(raw, band.meta, physical)
        if holes is not None:
            physical[holes] = band.fill
        return physical.astype(np.float64)

    def _searched(self, placed: Placed, found: _Found) -> tuple[_Found, Surroundings | None]:
        """Where the pixel of a point is invalid, take the nearest valid one around it."""
        sampling, inside = self._points.sampling, placed.inside
        around, valid, gone = np.zeros(inside.shape), np.zeros(inside.shape, np.bool_), np.ones(inside.shape, np.bool_)
        around[inside], valid[inside], gone[inside] = found
        centre = sampling.window_pixels // 2
        chosen = np.full(len(placed), centre)
        search = np.flatnonzero(~valid[:, centre] & valid.any(axis=1))
        x, y = (values[placed.points[search]] for values in self._points.to_crs(placed.grid.crs or ""))
        distances = placed.squared_distances(search, x, y)
        chosen[search] = np.where(valid[search], distances, np.inf).argmin(axis=1)
        at = np.arange(len(placed)), chosen
        surroundings = None
        if sampling.keeps_windows:
            always = sampling.neighbourhood == NEIGHBOURHOOD_ALWAYS
            wanted = np.ones(len(placed), np.bool_) if always else ~valid[:, centre]
            surroundings = Surroundings(around, ~gone, wanted)
        return _Found(around[at], valid[at], gone[at]), surroundings


class CutSamples:
    """The samples of one record, under way."""

    def __init__(self, sampler: Sampler, cut: PointCut) -> None:
        self.cut = cut
        self._sampler = sampler
        self._layers: list[dict[tuple[str, int], Layer]] = []
        #: Complete before ``finish``.
        self.outcome = Outcome()
        #: Bytes of memory that it takes.
        self.nbytes = 0
        for placed, bands in cut.grids:
            layers: dict[tuple[str, int], Layer] = {}
            for band in bands:
                self._add(layers, band.asset, 0, band.sample, placed)
                for witness in band.witnesses:
                    self._add(layers, band.asset, witness.level, witness.sample, placed)
            self._layers.append(layers)
            for layer in layers.values():
                sampler.read(cut.record.id, placed, layer, self.outcome)

    def finish(self) -> Iterator[BandSamples]:
        """Make values of the pixels."""
        for (placed, bands), layers in zip(self.cut.grids, self._layers, strict=True):
            for band in bands:
                found = [
                    (layers[band.asset.href, witness.level].samples[witness.sample].out, witness.value)
                    for witness in band.witnesses
                ]
                raw = layers[band.asset.href, 0].samples[band.sample].out
                yield self._sampler.finish(placed, band, raw, invalid(found) if found else None)

    def _add(
        self, layers: dict[tuple[str, int], Layer], asset: Asset, number: int, sample: int, placed: Placed
    ) -> None:
        layer = layers.setdefault((asset.href, number), Layer(asset, number))
        if sample not in layer.samples:
            out = np.empty(len(placed.pixels), asset.profile.level(number).dtype)
            layer.samples[sample] = Gathered(out, unstored(asset, number))
            self.nbytes += out.nbytes
