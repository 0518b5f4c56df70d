"""The rasterflight server: an Arrow Flight service over indexed collections of GeoTIFFs."""
