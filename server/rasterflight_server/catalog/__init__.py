"""Indexes in use: which records match, and what is known about their files."""

from rasterflight_server.catalog.collection import Collection
from rasterflight_server.catalog.manifest import BandEntry, Candidate, CrsEntry, Manifest, Slot

__all__ = ["BandEntry", "Candidate", "Collection", "CrsEntry", "Manifest", "Slot"]
