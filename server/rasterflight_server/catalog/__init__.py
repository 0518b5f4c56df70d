"""Indexes in use: which records match, and what is known about their files."""

from rasterflight_server.catalog.collection import Collection
from rasterflight_server.catalog.filters import Box
from rasterflight_server.catalog.manifest import BandEntry, Candidate, CrsEntry, Manifest, Slot

__all__ = ["BandEntry", "Box", "Candidate", "Collection", "CrsEntry", "Manifest", "Slot"]
