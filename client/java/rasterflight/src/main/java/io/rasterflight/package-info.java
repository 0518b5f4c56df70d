/**
 * Reads collections of cloud-optimised GeoTIFFs from a rasterflight server; begin at {@link io.rasterflight.RasterflightClient}.
 *
 * <p>On Java 17 and newer, Arrow needs the flag {@code --add-opens=java.base/java.nio=ALL-UNNAMED}.
 */
package io.rasterflight;
