"""From tiles in files to pixels in arrays."""
