"""From the bytes of image files to the pixels of a store."""
