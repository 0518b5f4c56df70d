"""From a ticket to the exact pixels that answer it; nothing here touches a raster file."""
