"""Bytes -> Frame: names, gzip, the KMA header. Nothing here opens a file."""
