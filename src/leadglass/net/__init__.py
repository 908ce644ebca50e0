"""The DICOM shell: asyncio on TCP and TLS. Moves bytes, keeps time, translates errors to status codes."""
